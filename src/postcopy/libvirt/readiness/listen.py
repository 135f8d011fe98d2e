"""A listener on migration ports of a destination, for `dial` to find from the source.

`collect` opens it and leaves it behind; it ends when its caller says so, and by itself when its
seconds are over. A port that
is in use is passed over: what listens there may be a QEMU that waits for its guest, and a stranger
that connects to it would take the guest's place.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["collect"]

_IP_MTU = 14
_BLOCK = 1 << 18
_PATIENCE_SECONDS = 5.0


def collect(request: Mapping[str, Any]) -> dict[str, Any]:
    """Open a listener at the lowest and at the highest free port of a range.

    :param request: ``end``, the port of a listener that is to end, and nothing else is done;
        ``low`` and ``high``, the range; ``address`` to listen at, any if empty;
        ``seconds`` to live; ``token``, what a caller must say first; ``tls``, paths of
        certificates to speak TLS with; ``cpu``, a CPU as XML that this host may have, and
        ``virttype``, as of what it would have it.
    """
    address = str(request.get("address") or "")
    if request.get("end"):
        _end(address, int(request["end"]), str(request["token"]))
        return {}
    low, high = int(request["low"]), int(request["high"])
    sockets, error = _open(address, range(low, high + 1), range(high, low - 1, -1))
    ports = sorted({one.getsockname()[1] for one in sockets})
    if sockets:
        _leave_behind(sockets, request)
    told: dict[str, Any] = {
        "proofs": {"listening": {"ports": ports, "error": error}},
        "commands": {},
    }
    if request.get("cpu"):
        from postcopy.probe import collect as look

        told["commands"]["cpu-compare"] = look.run(
            ["virsh", "-c", "qemu:///system", "hypervisor-cpu-compare", "/dev/stdin",
             "--virttype", str(request.get("virttype") or "kvm")],
            stdin=str(request["cpu"]),
        )  # fmt: skip
    return told


def _end(address: str, port: int, token: str) -> None:
    """End a listener of this host that nobody else could reach."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(
            (address or "localhost", port), timeout=_PATIENCE_SECONDS
        ) as caller,
    ):
        caller.sendall(f"{token} end\n".encode())


def _open(address: str, *orders: Iterable[int]) -> tuple[list[socket.socket], str]:
    """Listen at the first free port of each order; nothing where there is none."""
    sockets: list[socket.socket] = []
    error = ""
    for order in orders:
        for port in order:
            try:
                sockets.append(_listener(address, port))
                break
            except OSError as found:
                error = found.strerror or str(found)
    return sockets, error


def _listener(address: str, port: int) -> socket.socket:
    if not address and socket.has_dualstack_ipv6():
        return socket.create_server(
            ("", port), family=socket.AF_INET6, dualstack_ipv6=True, reuse_port=False
        )
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family)


def _leave_behind(sockets: list[socket.socket], request: Mapping[str, Any]) -> None:
    """Hand the sockets to a process of its own, which outlives this one."""
    fds = [one.fileno() for one in sockets]
    this: Any = __spec__
    source = this.loader.get_source(__name__)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", source],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, pass_fds=fds, cwd="/",
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps({**request, "fds": fds, "cpu": ""}).encode())
    process.stdin.close()


def _serve(request: Mapping[str, Any]) -> None:
    # The kernel ends this process then, whatever it is waiting for.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(max(1, int(float(request["seconds"]))))
    for fd in request["fds"]:
        listener = socket.socket(fileno=fd)
        threading.Thread(target=_accept, args=(listener, request), daemon=True).start()
    signal.pause()


def _accept(listener: socket.socket, request: Mapping[str, Any]) -> None:
    while True:
        caller, _ = listener.accept()
        threading.Thread(target=_answer, args=(caller, request), daemon=True).start()


def _answer(caller: socket.socket, request: Mapping[str, Any]) -> None:
    """Do what a caller wants that knows the token; see `dial`."""
    with contextlib.suppress(OSError), caller:
        caller.settimeout(_PATIENCE_SECONDS)
        token, _, verb = _line(caller).partition(" ")
        if not token or token != request["token"]:
            return
        if verb == "here":
            caller.sendall(f"{token} {_mtu(caller)}\n".encode())
        elif verb == "echo":
            while data := caller.recv(64):
                caller.sendall(data)
        elif verb.startswith("sink "):
            _sink(caller, min(10.0, float(verb.split()[1])))
        elif verb == "tls":
            _speak_tls(caller, request["tls"], token)
        elif verb == "end":
            os._exit(0)


def _line(caller: socket.socket) -> str:
    """Read up to the end of a line, and no further."""
    text = b""
    while not text.endswith(b"\n") and len(text) < 256:
        byte = caller.recv(1)
        if not byte:
            break
        text += byte
    return text.decode("ascii", "replace").strip()


def _mtu(caller: socket.socket) -> int:
    try:
        return caller.getsockopt(socket.IPPROTO_IP, _IP_MTU)
    except OSError:
        return 0


def _sink(caller: socket.socket, seconds: float) -> None:
    """Take in what comes, and say how much came in how long a time."""
    buffer = bytearray(_BLOCK)
    count = caller.recv_into(buffer)
    started = time.monotonic()
    total = 0
    while count and time.monotonic() - started < seconds:
        count = caller.recv_into(buffer)
        total += count
    caller.sendall(f"{total} {time.monotonic() - started:.6f}\n".encode())
    caller.shutdown(socket.SHUT_WR)
    # A close with data unread would take back the answer.
    until = time.monotonic() + 1.0
    while time.monotonic() < until and caller.recv_into(buffer):
        pass


def _speak_tls(caller: socket.socket, tls: Mapping[str, str], token: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls["server"], tls["server_key"])
        if tls.get("verify"):
            context.load_verify_locations(tls["server_authority"])
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        caller.sendall(f"no {error}\n".encode()[:200])
        return
    caller.sendall(b"go\n")
    with context.wrap_socket(caller, server_side=True) as wrapped:
        wrapped.sendall(f"{token}\n".encode())


if __name__ == "__main__":
    if os.fork() == 0:
        _serve(json.load(sys.stdin))
