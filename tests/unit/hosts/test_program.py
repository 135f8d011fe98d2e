"""The probe's program, run by this machine's Python, and answers that cannot be believed."""

import ast
import sys

import pytest

from postcopy.hosts import LocalHost, ProbeError, probe
from postcopy.hosts.program import SECTIONS, modules, parse
from postcopy.readiness import Evidence


async def test_a_host_with_nothing_but_python_answers() -> None:
    answer = await probe(LocalHost(), {"kernel": {}})
    kernel = Evidence(answer["sections"]["kernel"])
    assert "MemTotal" in kernel.text("/proc/meminfo")
    assert not kernel.file("/proc/nowhere").exists


async def test_only_what_is_asked_for_is_looked_at() -> None:
    assert (await probe(LocalHost(), {}))["sections"] == {}


def test_what_runs_on_hosts_needs_python_3_9_and_its_standard_library_alone() -> None:
    sources = modules(tuple(SECTIONS.values()))
    packages = {name.rpartition(".")[0] for name in sources}
    for name, source in sources.items():
        tree = ast.parse(source, feature_version=(3, 9))
        futures = [
            alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and node.module == "__future__"
            for alias in node.names
        ]
        assert futures == ["annotations"], name
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                wanted = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                wanted = {node.module or "."}
            else:
                continue
            for module in wanted:
                root = module.split(".")[0]
                assert root in sys.stdlib_module_names or module in {*sources, *packages}, name


async def test_every_section_is_collected() -> None:
    section: dict[str, object] = {"proofs": [], "guest": None}
    answer = await probe(LocalHost(), dict.fromkeys(SECTIONS, section))
    assert set(answer["sections"]) == set(SECTIONS)
    assert not [name for name, found in answer["sections"].items() if "error" in found]


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("", "gave no answer"),
        ("bash: python3: command not found", "command not found"),
        ('<<<postcopy\n{"probe": 1, "secti', "not whole"),
        ("<<<postcopy\n\x00\xff\npostcopy>>>", "not whole"),
        ("<<<postcopy\n[]\npostcopy>>>", "not whole"),
        ('<<<postcopy\n{"probe": 9, "sections": {}}\npostcopy>>>', "format 9"),
    ],
)
def test_an_answer_that_is_none_is_said_to_be_none(out: str, said: str) -> None:
    with pytest.raises(ProbeError, match=said):
        parse("alpha", out)


def test_what_a_login_prints_around_the_answer_does_not_matter() -> None:
    text = 'Welcome!\n<<<postcopy\n{"probe": 1, "sections": {"kernel": 3}}\npostcopy>>>\nbye\n'
    assert parse("alpha", text)["sections"] == {"kernel": 3}


async def test_a_host_without_python_is_named() -> None:
    with pytest.raises(ProbeError, match="host alpha gave no answer"):
        await probe(LocalHost("alpha"), {}, python=("false",))
