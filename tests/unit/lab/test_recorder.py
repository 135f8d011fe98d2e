import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from postcopy.lab import recorder

RECORDER = Path(recorder.__file__)


@contextmanager
def recording(path: Path, log: Path, *more: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the recorder as a lab host does: a script, alone, with nothing of this package."""
    with subprocess.Popen(
        [sys.executable, "-I", str(RECORDER), str(path), str(log), *more],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def serial_port(path: Path) -> Iterator[socket.socket]:
    """Play QEMU's side of the socket."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(10)
        yield server


def lines_of(log: Path, count: int) -> list[tuple[int, bytes]]:
    """Wait until the log has that many lines and return them with their stamps."""
    deadline = time.monotonic() + 10
    while not log.exists() or log.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline, "the recorder wrote too little"
        time.sleep(0.005)
    parts = (line.split(b" ", 1) for line in log.read_bytes().splitlines())
    return [(int(stamp), text) for stamp, text in parts]


def wait_until_it_handles(number: signal.Signals, pid: int) -> None:
    """A Python that is still starting has no handler, and dies of the signal."""
    deadline = time.monotonic() + 10
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) >> (number - 1) & 1:
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_lines_are_stamped_as_they_arrive(tmp_path: Path) -> None:
    path, log = tmp_path / "s", tmp_path / "log"
    with serial_port(path) as server, recording(path, log):
        guest, _ = server.accept()
        with guest:
            before = time.time_ns()
            guest.sendall(b"READY\r\nH 0 ")
            lines_of(log, 1)
            time.sleep(0.1)
            guest.sendall(b"20 5 0\n\xff\xfe garbage\n")
            found = lines_of(log, 3)
            after = time.time_ns()

    assert [text for _, text in found] == [b"READY", b"H 0 20 5 0", b"\xff\xfe garbage"]
    first, second, third = (stamp for stamp, _ in found)
    assert before < first < second <= third < after
    assert second - first > 90_000_000


def test_it_waits_for_the_socket_and_ends_with_the_guest(tmp_path: Path) -> None:
    path, log = tmp_path / "s", tmp_path / "log"
    with recording(path, log) as process:
        time.sleep(0.2)
        with serial_port(path) as server:
            guest, _ = server.accept()
            guest.sendall(b"one\ntwo\nH 3 2")
            guest.close()
            assert process.wait(10) == 0

    assert [line.split(b" ", 1)[1] for line in log.read_bytes().split(b"\n")] == [
        b"one",
        b"two",
        b"H 3 2",
    ]


def test_sigterm_ends_it_without_losing_what_was_heard(tmp_path: Path) -> None:
    path, log = tmp_path / "s", tmp_path / "log"
    with serial_port(path) as server, recording(path, log) as process:
        guest, _ = server.accept()
        with guest:
            guest.sendall(b"one\n")
            lines_of(log, 1)
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(10) == 0

    assert log.read_bytes().endswith(b" one\n")


def test_sigterm_ends_it_while_it_waits_for_the_socket(tmp_path: Path) -> None:
    with recording(tmp_path / "s", tmp_path / "log") as process:
        wait_until_it_handles(signal.SIGTERM, process.pid)
        process.terminate()
        assert process.wait(5) == 0


def test_one_that_stays_outlives_a_guest_that_never_took_its_call(tmp_path: Path) -> None:
    """As a destination that is given up while the recorder has just come to it."""
    path, log = tmp_path / "s", tmp_path / "log"
    with recording(path, log, "stay"):
        with serial_port(path) as server:
            called, _, _ = select.select([server], [], [], 10)
            assert called
        path.unlink()
        with serial_port(path) as server:
            guest, _ = server.accept()
            with guest:
                guest.sendall(b"one\n")
                assert lines_of(log, 1)[0][1] == b"one"


def test_wrong_arguments_are_explained() -> None:
    done = subprocess.run(
        [sys.executable, "-I", str(RECORDER)],
        check=False,
        capture_output=True,
        text=True,
        timeout=10,
    )

    assert done.returncode == 64
    assert "SOCKET LOG" in done.stderr


def test_a_flood_is_recorded_whole(tmp_path: Path) -> None:
    path, log = tmp_path / "s", tmp_path / "log"
    with serial_port(path) as server, recording(path, log):
        guest, _ = server.accept()
        with guest:
            guest.sendall(b"".join(b"H %d 0 0 0\n" % number for number in range(500)))
            found = lines_of(log, 500)

    assert [text for _, text in found] == [b"H %d 0 0 0" % number for number in range(500)]


def test_a_port_that_somebody_else_chose_is_read_from_qemus_command_line(tmp_path: Path) -> None:
    arguments = (
        "/usr/bin/qemu-system-x86_64\0-uuid\0{}\0-chardev\0"
        "socket,id=charserial0,host=198.19.0.1,port=10000,server=on,wait=off,logappend=off\0"
        "-chardev\0socket,id=charserial1,host=198.19.0.1,port=10001,server=on,wait=off\0"
    )
    for pid, text in {"7": arguments.format("mine"), "8": arguments.format("other")}.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_text(text.replace("10000", f"1000{pid}"))
    (tmp_path / "9").mkdir()
    assert recorder.serial_port("mine", 0, str(tmp_path)) == ("198.19.0.1", 10007)
    assert recorder.serial_port("mine", 1, str(tmp_path)) == ("198.19.0.1", 10001)
    assert recorder.serial_port("mine", 2, str(tmp_path)) is None
    assert recorder.serial_port("gone", 0, str(tmp_path)) is None
