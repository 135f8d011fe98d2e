"""Answers of a real cloud, one a line, as they came: recorded and played beneath the SDK.

Both sides are adapters of `requests`, so all that lies above is what talks to clouds everywhere.
An answer that says the same as the one before it, to the same question, is not written again.
"""

import io
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from postcopy.clock import Clock

__all__ = ["Exchange", "Tape", "Player", "Recorder", "response"]

_HEADERS = ("Content-Type", "OpenStack-API-Version", "Vary", "Location", "X-Subject-Token")
"""Of an answer, those that a client reads."""

_TOKENS = "/v3/auth/tokens"
_FOR_EVER = "2999-01-01T00:00:00.000000Z"
_TOKEN = "a-token"
_WAITING_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer.

    :ivar at: when the answer came, in seconds from the recording's begin.
    :ivar version: the microversion that was asked for.
    :ivar answer: the body: JSON where it is JSON, text where it is not, None where there is none.
    :ivar what: what it is an example of, where it is one.
    """

    at: float
    method: str
    url: str
    version: str | None
    body: Any
    status: int
    headers: dict[str, str]
    answer: Any
    what: str = ""

    @property
    def question(self) -> tuple[str, str, str | None, str]:
        """What was asked; with the same body, for what changes something."""
        return self.method, self.url, self.version, json.dumps(self.body, sort_keys=True)

    @property
    def acts(self) -> bool:
        """Whether something was to change; giving out a token changes nothing."""
        return self.method != "GET" and not self.url.endswith(_TOKENS)

    @property
    def path(self) -> str:
        """Below the service's address, with the parameters."""
        where = urlsplit(self.url)
        return where.path.removeprefix("/v2.1") + (f"?{where.query}" if where.query else "")


@dataclass(slots=True)
class Tape:
    """A recording.

    :ivar about: the release, the scenario, and whatever else tells it from others.
    """

    about: dict[str, str]
    exchanges: list[Exchange] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> "Tape":
        """Read what `save` wrote."""
        first, *rest = path.read_text().splitlines()
        return cls(json.loads(first), [Exchange(**json.loads(line)) for line in rest])

    def save(self, path: Path) -> None:
        """Write it, an exchange a line."""
        lines = [json.dumps(self.about), *(json.dumps(asdict(one)) for one in self.exchanges)]
        path.write_text("".join(f"{line}\n" for line in lines))

    def asked(self, method: str, part: str) -> list[Exchange]:
        """Return what was asked with that method, with `part` in its path, in order."""
        return [one for one in self.exchanges if one.method == method and part in one.path]


class Recorder(HTTPAdapter):
    """Asks a cloud, and writes down what it answers without passwords, tokens and addresses.

    :param replaced: addresses of this machine, and what stands for them on the tape.
    :ivar tape: where it is written now; None is nowhere.
    :ivar what: what the next answers are examples of.
    """

    def __init__(self, replaced: Mapping[str, str]) -> None:
        super().__init__()
        self.tape: Tape | None = None
        self.what = ""
        self._replaced = sorted(replaced.items(), key=lambda pair: -len(pair[0]))
        self._began = 0.0
        self._last: dict[object, tuple[int, Any]] = {}
        self._lock = threading.Lock()

    def begin(self, about: dict[str, str]) -> None:
        """Begin a new tape."""
        with self._lock:
            self.tape, self._began, self._last = Tape(about), time.monotonic(), {}

    def send(self, request: requests.PreparedRequest, **more: Any) -> requests.Response:  # type: ignore[override]
        answer = super().send(request, **more)
        secret = str(request.url).endswith(_TOKENS)
        headers = {name: answer.headers[name] for name in _HEADERS if name in answer.headers}
        if "X-Subject-Token" in headers:
            headers["X-Subject-Token"] = _TOKEN
        shown = _read(self._clean(answer.text))
        if secret and answer.status_code < 400:
            shown["token"]["expires_at"] = _FOR_EVER
            shown["token"].pop("audit_ids", None)
        with self._lock:
            exchange = Exchange(
                round(time.monotonic() - self._began, 2),
                str(request.method),
                self._clean(str(request.url)),
                _version(request),
                None if secret else _body(request),
                answer.status_code,
                headers,
                shown,
                self.what,
            )
            said = (exchange.status, exchange.answer)
            if self.tape is not None and (
                exchange.acts or self._last.get(exchange.question) != said
            ):
                self._last[exchange.question] = said
                self.tape.exchanges.append(exchange)
        return answer

    def _clean(self, text: str) -> str:
        for word, other in self._replaced:
            text = text.replace(word, other)
        return text


class Player(BaseAdapter):
    """Answers as the tape has it, as its clock goes.

    Until the next thing that was done and accepted, time on the tape follows the clock, and then
    stands still; when that is done again, it goes on from there. What the recording did and was
    refused may be left out. Whatever is not on the tape is an error of the test, and so is to go on
    asking for long after its end.

    :ivar done: what was done so far: method and path.
    """

    def __init__(self, tape: Tape, clock: Clock) -> None:
        super().__init__()
        self.tape = tape
        self.done: list[tuple[str, str]] = []
        self._clock = clock
        self._began = clock.now()
        self._next = 0
        """The first exchange after what was done, or refused, last."""
        self._lock = threading.Lock()
        self._answers: dict[object, list[Exchange]] = {}
        for one in tape.exchanges:
            self._answers.setdefault(one.question, []).append(one)

    @property
    def now(self) -> float:
        """How far the tape is, in its own seconds."""
        return min(self._clock.now() - self._began, self._bound(lambda one: one.at, float("inf")))

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        body = None if str(request.url).endswith(_TOKENS) else _body(request)
        asked = Exchange(
            0, str(request.method), str(request.url), _version(request), body, 0, {}, None
        )
        with self._lock:
            found = self._act(asked) if asked.acts else self._look(asked)
        made = response(found)
        made.request, made.url = request, str(request.url)
        return made

    def close(self) -> None:
        """Hold nothing."""

    def _act(self, asked: Exchange) -> Exchange:
        for number, one in enumerate(self.tape.exchanges[self._next :], self._next):
            if one.question == asked.question:
                self.done.append((one.method, one.path))
                self._next = number + 1
                if one.status < 400:
                    self._began = self._clock.now() - one.at
                return one
            if one.acts and one.status < 400:
                break
        raise AssertionError(f"not done at that time: {asked.method} {asked.path} {asked.body}")

    def _look(self, asked: Exchange) -> Exchange:
        now = self.now
        if self._clock.now() - self._began > self.tape.exchanges[-1].at + _WAITING_SECONDS:
            raise AssertionError(f"still asked for, long after the end: {asked.path}")
        same = self._answers.get(asked.question)
        if not same:
            raise AssertionError(f"never asked: {asked.method} {asked.path} at {asked.version}")
        return max((one for one in same if one.at <= now), key=lambda o: o.at, default=same[0])

    def _bound(self, of: Callable[[Exchange], float], otherwise: float) -> float:
        ahead: Iterable[Exchange] = self.tape.exchanges[self._next :]
        return next((of(one) for one in ahead if one.acts and one.status < 400), otherwise)


def _version(request: requests.PreparedRequest) -> str | None:
    told = str(request.headers.get("OpenStack-API-Version") or "")
    return told.removeprefix("compute ") or None


def _body(request: requests.PreparedRequest) -> Any:
    return json.loads(request.body) if isinstance(request.body, str | bytes) else None


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text or None


def response(one: Exchange) -> requests.Response:
    """Return a recorded answer as `requests` would."""
    made = requests.Response()
    made.status_code = one.status
    made.headers.update(one.headers)
    text = one.answer if isinstance(one.answer, str) else json.dumps(one.answer)
    made.raw = io.BytesIO(b"" if one.answer is None else text.encode())
    return made
