"""The manual pages: current, complete, and good roff."""

import shutil
import subprocess
from pathlib import Path

import click
import pytest

from postcopy.cli.app import postcopy
from postcopy.cli.manual import page

PAGES = Path(__file__).parents[3] / "docs" / "man"


def test_the_page_of_all_commands_is_current() -> None:
    assert (PAGES / "postcopy.1").read_text() == page(), "run: make manual"


def test_it_names_every_command() -> None:
    text = page().replace("\\-", "-")
    context = click.Context(postcopy, info_name="postcopy")
    for name in postcopy.list_commands(context):
        assert f'.SS "postcopy {name}' in text


def test_the_guards_page_names_each_of_its_options() -> None:
    text = (PAGES / "postcopy-watch.8").read_text().replace("\\-", "-")
    command = postcopy.get_command(click.Context(postcopy), "watch")
    assert command is not None
    missing = [
        option
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
        if option not in text and option != "--lab"
    ]
    assert missing == []


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
@pytest.mark.parametrize("name", ["postcopy.1", "postcopy-watch.8"])
def test_roff_has_nothing_to_complain_of(name: str) -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-z", "-Tutf8", str(PAGES / name)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
