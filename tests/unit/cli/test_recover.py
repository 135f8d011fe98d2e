"""``postcopy recover`` and ``postcopy guest``, as far as they go without a real migration."""

import pytest

from postcopy.cli import app


def run(*arguments: str) -> int:
    return app._run(list(arguments))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["recover", "web1", "--from", "test:///default"], 64, "name the host"),
        (["recover", "web1", "--recover-for", "0"], 64, "--recover-for"),
        (
            ["recover", "test", "test:///default", "--from", "test:///default"],
            66,
            "no post-copy that could be recovered",
        ),
        (
            ["recover", "web1", "test:///default", "--from", "test:///default"],
            66,
            "neither at test:///default",
        ),
        (
            ["recover", "web1", "qemu:///b", "--from", "test:///default", "--recover-uri", "b"],
            64,
            "tcp://HOST",
        ),
        (["guest", "prepare", "web1", "--from", "test:///default"], 66, "it has: test"),
    ],
)
def test_what_cannot_be_is_named_and_has_its_code(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == code
    assert said in capsys.readouterr().err


def test_a_second_monitor_is_shown_before_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("guest", "prepare", "test", "--from", "test:///default") == 0
    shown = capsys.readouterr()
    assert "+  <qemu:commandline>" in shown.out
    assert "path=/var/lib/libvirt/qemu/postcopy-test.monitor,server=on,wait=off" in shown.out
    assert "nothing was changed" in shown.err
    assert run("guest", "prepare", "test", "--from", "test:///default", "--undo") == 0
    assert "has no second monitor" in capsys.readouterr().out
