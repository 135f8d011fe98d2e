"""Records what a guest says on its serial port, with the time at which it was heard.

This is a program of its own: a lab host runs it as ``python3 -I recorder.py SOCKET LOG`` with its
own Python, where nothing else of this project is installed. It connects to the unix socket of
QEMU's serial port and appends one line to the log for each that it hears::

    <Unix time, nanoseconds> <the line as it came>

The time is read from the realtime clock once and counted with the monotonic clock from then on: an
interval between two lines is never wrong because somebody set the clock. It ends when the guest's
QEMU does, or on SIGTERM. What is left of an unfinished line then has no newline in the log either.
With a third argument, ``stay``, it waits for a guest as long as it takes, and for it to come again
after that, until SIGTERM.

For a guest whose serial ports are TCP ports that somebody else chose, as Nova does, SOCKET is
``uuid:UUID``: the port is then read from the command line of the QEMU that runs that guest.
"""

import functools
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

__all__ = ["main", "serial_port"]

CONNECT_SECONDS = 10.0
RETRY_SECONDS = 0.01
SEARCH_SECONDS = 0.1
"""Between two looks at every process of a host."""

GATHER_SECONDS = 0.001
"""QEMU's serial port sends byte by byte. Letting a line gather for a millisecond saves a wake-up
for each of its bytes, and costs a stamp that is late by as much."""


def serial_port(uuid: str, number: int, proc: str = "/proc") -> "tuple[str, int] | None":
    """Return the address and TCP port of a serial port of the guest with that UUID.

    None when no QEMU here runs it, or it has no such port. QEMU's command line is libvirt's.
    """
    source = rb"id=charserial%d,host=([^,]+),port=(\d+)" % number
    for path in Path(proc).glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes()
        except OSError:
            continue  # it has ended in the meantime
        if b"\0-uuid\0" + uuid.encode() + b"\0" in arguments:
            found = re.search(source, arguments)
            if found is not None:
                return found[1].decode(), int(found[2])
    return None


def dial(path: str) -> socket.socket:
    """Connect to a socket, or to the serial port of a guest that is named by its UUID.

    :raises OSError: when it is not there, or nobody listens.
    """
    if not path.startswith("uuid:"):
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.connect(path)
        except OSError:
            line.close()
            raise
        return line
    port = serial_port(path[len("uuid:") :], 0)
    if port is None:
        raise FileNotFoundError(2, "no such guest here")
    return socket.create_connection(port)


def connect(path: str, patience: float = CONNECT_SECONDS) -> socket.socket:
    """Connect to the socket as soon as it is there.

    :raises OSError: when it is not, or nobody listens, for that many seconds.
    """
    deadline = time.monotonic() + patience
    retry = SEARCH_SECONDS if path.startswith("uuid:") else RETRY_SECONDS
    while True:
        try:
            return dial(path)
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline:
                raise
            time.sleep(retry)


def hang_up(line: socket.socket, *_: object) -> None:
    """End a recording as if the other side had."""
    line.shutdown(socket.SHUT_RD)


def receive(line: socket.socket) -> bytes:
    """Return what has come, nothing when the other side has hung up, however it did."""
    try:
        return line.recv(65536)
    except ConnectionResetError:  # a QEMU that ended before it had so much as taken the call
        return b""


def record(line: socket.socket, log: int) -> None:
    """Copy lines from the socket to the file until the other side hangs up."""
    anchor = time.time_ns() - time.monotonic_ns()
    unfinished = b""
    while heard := receive(line):
        stamp = anchor + time.monotonic_ns()
        *lines, unfinished = (unfinished + heard).split(b"\n")
        for text in lines:
            os.write(log, b"%d %s\n" % (stamp, text.rstrip(b"\r")))
        time.sleep(GATHER_SECONDS)
    if unfinished:
        os.write(log, b"%d %s" % (anchor + time.monotonic_ns(), unfinished))


def main(arguments: list[str]) -> int:
    """Record until the guest is gone; the result is the program's exit code."""
    if len(arguments) not in (2, 3) or arguments[2:] not in ([], ["stay"]):
        print("usage: recorder.py SOCKET LOG [stay]", file=sys.stderr)
        return 64
    path, log_path = arguments[:2]
    try:
        # Emulated guests keep every core busy, and a stamp must not wait for them.
        os.nice(-10)
    except PermissionError:
        print("recorder: no permission to raise the priority; stamps may be late", file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    stay = bool(arguments[2:])
    while True:
        try:
            line = connect(path, float("inf") if stay else CONNECT_SECONDS)
        except OSError as error:
            print(f"recorder: no serial port at {path}: {error.strerror}", file=sys.stderr)
            return 69
        if not stay:
            # The same end as a guest that is gone: what was heard so far is written first.
            end = functools.partial(hang_up, line)
            signal.signal(signal.SIGTERM, end)
        record(line, log)
        line.close()
        if not stay:
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
