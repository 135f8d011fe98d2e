"""Calls from a source to the listener of a destination, and to its libvirt daemon.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

__all__ = ["collect"]

_CONNECT_SECONDS = 2.0
_ECHOES = 20
_IP_MTU = 14
_BLOCK = bytes(1 << 18)


def collect(request: Mapping[str, Any]) -> dict[str, Any]:
    """Find out what the way to a destination is like.

    :param request: ``host``, whom to call; ``names``, what to resolve; ``ports``, where its
        listener is, and ``token``, what it knows us by; ``daemon``, ports of its daemon by
        transport; ``seconds`` for the throughput, none if 0; ``daemon_tls`` and ``tls``, paths
        of certificates to call its daemon and its listener with.
    """
    host, token = str(request["host"]), str(request["token"])
    ports = [int(port) for port in request["ports"]]
    told: dict[str, Any] = {"resolved": {}, "ports": {}, "daemon": {}, "tls": {}}
    work: list[Callable[[], None]] = []

    def later(group: str, name: str, ask: Callable[[], Any]) -> None:
        def do() -> None:
            try:
                told[group][name] = ask()
            except Exception as error:  # noqa: BLE001 - what goes wrong is the answer
                told[group][name] = {"error": _said(error)}

        work.append(do)

    for name in request["names"]:
        later("resolved", name, partial(_resolve, name))
    for port in ports:
        later("ports", str(port), partial(_here, host, port, token))
    for transport, port in request["daemon"].items():
        later("daemon", transport, partial(_connects, host, int(port)))
    if request.get("daemon_tls") and "tls" in request["daemon"]:
        port = int(request["daemon"]["tls"])
        later("tls", "daemon", partial(_daemon_tls, host, port, request["daemon_tls"]))
    if request.get("tls") and ports:
        later("tls", "migration", partial(_listener_tls, host, ports[0], token, request["tls"]))
    _side_by_side(work)
    open_ports = [port for port in ports if told["ports"].get(str(port), {}).get("ok")]
    if open_ports:
        with contextlib.suppress(OSError, ValueError):
            told["round_trip_seconds"] = _round_trip(host, open_ports[0], token)
        if float(request.get("seconds", 0)):
            try:
                told["throughput"] = _throughput(
                    host, open_ports[0], token, float(request["seconds"])
                )
            except (OSError, ValueError) as error:
                told["throughput"] = {"error": _said(error)}
        with contextlib.suppress(OSError):
            _call(host, open_ports[0], token, "end").close()
            told["ended"] = True
    return {"proofs": {"dialled": told}}


def _side_by_side(work: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=do, daemon=True) for do in work]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 3 * _CONNECT_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def _resolve(name: str) -> dict[str, Any]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return {"addresses": sorted({str(entry[4][0]) for entry in found})}


def _connects(host: str, port: int) -> dict[str, Any]:
    with socket.create_connection((host, port), _CONNECT_SECONDS):
        return {"ok": True}


def _call(host: str, port: int, token: str, verb: str) -> socket.socket:
    connection = socket.create_connection((host, port), _CONNECT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(f"{token} {verb}\n".encode())
    return connection


def _line(connection: socket.socket) -> str:
    text = b""
    while not text.endswith(b"\n") and len(text) < 256:
        byte = connection.recv(1)
        if not byte:
            break
        text += byte
    return text.decode("ascii", "replace").strip()


def _here(host: str, port: int, token: str) -> dict[str, Any]:
    with _call(host, port, token, "here") as connection:
        answer = _line(connection).split()
        if not answer or answer[0] != token:
            return {"error": "something else answers there"}
        return {
            "ok": True,
            "mtu": connection.getsockopt(socket.IPPROTO_IP, _IP_MTU),
            "mtu_there": int(answer[1]),
        }


def _round_trip(host: str, port: int, token: str) -> float:
    """Return the median time that a few bytes take there and back."""
    times = []
    with _call(host, port, token, "echo") as connection:
        for _ in range(_ECHOES):
            started = time.perf_counter()
            connection.sendall(b"?")
            if not connection.recv(1):
                break
            times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


def _throughput(host: str, port: int, token: str, seconds: float) -> dict[str, Any]:
    """Send for some seconds, and return what the other side says that it got."""
    sent = 0
    with _call(host, port, token, f"sink {seconds}") as connection:
        connection.setblocking(False)
        until = time.monotonic() + seconds + 2.0
        while time.monotonic() < until:
            readable, writable, _ = select.select([connection], [connection], [], 0.2)
            if readable:
                connection.settimeout(1.0)
                count, took = _line(connection).split()
                return {"bytes": int(count), "seconds": float(took)}
            if writable:
                sent += connection.send(_BLOCK)
    return {"error": "stalled", "sent": sent}


def _context(tls: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Names are read off the certificates, where the name that is wrong can be told.
    context.check_hostname = False
    context.load_verify_locations(tls["authority"])
    if tls.get("client"):
        context.load_cert_chain(tls["client"], tls["client_key"])
    return context


def _daemon_tls(host: str, port: int, tls: Mapping[str, str]) -> dict[str, Any]:
    context = _context(tls)
    plain = socket.create_connection((host, port), _CONNECT_SECONDS)
    with plain, context.wrap_socket(plain) as wrapped:
        # libvirt's daemon sends one byte when it has accepted the caller's certificate.
        if wrapped.recv(1) != b"\x01":
            return {"error": "the daemon refuses the certificate of this host"}
        return {"ok": True}


def _listener_tls(host: str, port: int, token: str, tls: Mapping[str, str]) -> dict[str, Any]:
    context = _context(tls)
    with _call(host, port, token, "tls") as plain:
        ready = _line(plain)
        if ready != "go":
            return {"error": f"the destination cannot use its certificate: {ready[3:]}"}
        with context.wrap_socket(plain) as wrapped:
            data = wrapped.recv(256)
            if data.decode("ascii", "replace").strip() != token:
                return {"error": "the destination refuses the certificate of this host"}
            return {"ok": True}


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    return (error.strerror or str(error)) if isinstance(error, OSError) else repr(error)
