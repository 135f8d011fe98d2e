"""Running other programs: what comes back, what an error says, and that nothing stays behind."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

from postcopy import pids, processes
from postcopy.errors import UnavailableError


def run(*argv: str, **options: object) -> processes.Completed:
    return asyncio.run(processes.run(*argv, **options))  # type: ignore[arg-type]


def test_output_and_input_go_through() -> None:
    done = run("sh", "-c", "cat; echo problem >&2", stdin="text")
    assert done == processes.Completed(0, "text", "problem\n")


def test_the_environment_is_all_that_was_given() -> None:
    assert run("env", env={"ONLY": "this"}).stdout == "ONLY=this\n"


def test_a_failure_says_what_failed_and_its_last_words() -> None:
    with pytest.raises(processes.CommandError) as caught:
        run("sh", "-c", "seq 100 >&2; exit 3")
    error = caught.value
    assert error.returncode == 3
    assert "exit status 3" in error.message
    assert error.stderr == "96\n97\n98\n99\n100"


def test_a_failure_that_was_expected_is_a_result() -> None:
    assert run("sh", "-c", "exit 3", check=False).returncode == 3


def test_a_command_ended_by_a_signal_says_which() -> None:
    with pytest.raises(processes.CommandError, match="SIGTERM"):
        run("sh", "-c", "kill -TERM $$")


def test_a_program_that_is_not_there_is_a_clear_error() -> None:
    with pytest.raises(UnavailableError, match="no-such-program is not installed"):
        run("no-such-program")


def test_a_command_out_of_time_is_killed_with_its_children() -> None:
    before = time.monotonic()
    mark = {"PATH": "/usr/bin:/bin", "TEST_OF_TIME": str(time.time())}
    with pytest.raises(processes.CommandError, match="did not end in time"):
        run("sh", "-c", "sleep 60 & sleep 60", timeout=0.2, env=mark)
    assert time.monotonic() - before < 5
    left = pids.has_environment("TEST_OF_TIME", mark["TEST_OF_TIME"])
    deadline = time.monotonic() + 5
    while pids.find(left) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert pids.find(left) == []


def test_lines_come_while_the_command_runs() -> None:
    lines: list[str] = []
    code = "import sys; sys.stderr.write('one\\rtwo\\n\\nthree' + 'x' * 200000); print('no')"
    asyncio.run(processes.stream(sys.executable, "-c", code, on_line=lines.append))
    assert lines == ["one", "two", "three" + "x" * 200000]


def test_a_long_command_that_fails_says_why() -> None:
    with pytest.raises(processes.CommandError, match="because"):
        asyncio.run(
            processes.stream("sh", "-c", "echo because >&2; exit 1", on_line=lambda line: None)
        )


async def test_a_command_that_goes_on_tells_its_lines_as_they_come(tmp_path: Path) -> None:
    lines: list[str] = []
    log = tmp_path / "log"
    script = "echo one; echo two >&2; sleep 60"
    running = await processes.start("sh", "-c", script, log=log, on_line=lines.append)
    async with asyncio.timeout(10):
        while len(lines) < 2:  # noqa: ASYNC110 - another process says them
            await asyncio.sleep(0.01)
    assert running.running
    await running.kill()
    assert await running.wait() == -9
    assert sorted(lines) == ["one", "two"]
    assert sorted(log.read_text().splitlines()) == ["one", "two"]


async def test_a_command_that_goes_on_has_an_exit_status_in_the_end(tmp_path: Path) -> None:
    running = await processes.start("sh", "-c", "exit 3", log=tmp_path / "log", on_line=print)
    assert await running.wait() == 3
    assert not running.running
