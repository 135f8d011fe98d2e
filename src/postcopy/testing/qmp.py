"""A QMP server that follows a script, on a real unix socket."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["ScriptedError", "ScriptedQmp"]

Reply = Callable[[dict[str, Any]], Any]


class ScriptedError(Exception):
    """Raised by a reply, or given as one: the server answers with an error."""


class ScriptedQmp:
    """Answers QMP commands as it was told to, one client at a time, as QEMU does.

    :param path: where to listen.
    :param replies: for each command a value, a `ScriptedError`, or a function from the arguments
        to a value. A function may be a coroutine, to be slow. Unknown commands get an error.
    :param oob: whether to offer out-of-band execution.

    ::

        async with ScriptedQmp(path, {"query-status": {"status": "running"}}) as server:
            ...
            await server.emit("MIGRATION", {"status": "active"})
    """

    def __init__(self, path: Path, replies: Mapping[str, Any], *, oob: bool = True) -> None:
        self.path = path
        self.replies = dict(replies)
        self.commands: list[str] = []
        """The commands that came, in order."""
        self.arguments: list[dict[str, Any]] = []
        """Their arguments."""
        self.leftovers: list[Mapping[str, Any]] = []
        """Messages that the next client gets before its greeting: QEMU may have some left over."""
        self._oob = oob
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._client = asyncio.Lock()
        self._sessions: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._accept, self.path)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    async def emit(self, event: str, data: Mapping[str, Any] | None = None) -> None:
        """Send an event to the client, stamped with the time now."""
        now = time.time_ns()
        stamp = {"seconds": now // 10**9, "microseconds": now % 10**9 // 1000}
        await self._send({"event": event, "data": dict(data or {}), "timestamp": stamp})

    def hang_up(self) -> None:
        """Drop the client in the middle of whatever it was doing."""
        if self._writer is not None:
            self._writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A second client gets no greeting until the first has gone: so does QEMU's chardev.
        async with self._client:
            self._writer = writer
            try:
                while self.leftovers:
                    await self._send(self.leftovers.pop())
                capabilities = ["oob"] if self._oob else []
                await self._send({"QMP": {"version": {}, "capabilities": capabilities}})
                async for message in _messages(reader):
                    await self._answer(message)
            except ConnectionError:
                pass  # the client's leaving is part of many scripts
            finally:
                self._writer = None
                writer.close()

    async def _answer(self, message: dict[str, Any]) -> None:
        command = message.get("execute") or message.get("exec-oob", "")
        arguments = message.get("arguments", {})
        answer: dict[str, Any]
        if command == "qmp_capabilities":
            answer = {"return": {}}
        else:
            self.commands.append(command)
            self.arguments.append(arguments)
            try:
                answer = {"return": await self._reply(command, arguments)}
            except ScriptedError as fault:
                answer = {"error": {"class": "GenericError", "desc": str(fault)}}
        if "id" in message:
            answer["id"] = message["id"]
        await self._send(answer)

    async def _reply(self, command: str, arguments: dict[str, Any]) -> Any:
        if command not in self.replies:
            raise ScriptedError(f"The command {command} has not been found")
        reply = self.replies[command]
        if isinstance(reply, ScriptedError):
            raise reply
        if callable(reply):
            reply = reply(arguments)
            if asyncio.iscoroutine(reply):
                reply = await reply
        return reply

    async def _send(self, message: Mapping[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(message).encode() + b"\r\n")
            with contextlib.suppress(ConnectionError):
                await self._writer.drain()


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """Yield the objects of a stream. QMP has no separator that a client must send."""
    decoder, text = json.JSONDecoder(), ""
    while chunk := await reader.read(65536):
        text = (text + chunk.decode()).lstrip()
        while text:
            try:
                message, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                break  # the rest of it is still on its way
            text = text[end:].lstrip()
            yield message
