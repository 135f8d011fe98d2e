"""What a probe brought back from a host, read with suspicion.

A probe's answer is text from another machine: truncated, of another version, or made up. Nothing
here raises for what it holds; what is not as it should be is as if it were not there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Evidence", "File", "Ran"]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that the probe looked at.

    :ivar text: its content; None where it is not there, cannot be read, or was not asked for.
    :ivar error: the name of the error number, such as ``ENOENT``; empty if there was none.
    :ivar mode: permission bits; None where it is not known.
    :ivar uid: its owner's number.
    :ivar gid: its group's number.
    """

    path: str
    text: str | None = None
    error: str = ""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None

    @property
    def exists(self) -> bool:
        """Whether it is there, readable or not."""
        return self.mode is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that the probe ran.

    :ivar code: its exit status; None where it could not be run, or not to its end.
    :ivar error: why not: ``not installed``, ``timed out``, or the system's own word.
    """

    argv: tuple[str, ...]
    code: int | None = None
    out: str = ""
    err: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ran and ended well."""
        return self.code == 0


class Evidence:
    """One section of a probe's answer: files by path, commands and proofs by name."""

    def __init__(self, raw: object) -> None:
        self._raw = raw if isinstance(raw, Mapping) else {}

    def file(self, path: str) -> File:
        """Return what is known of a file; one that was never looked at does not exist."""
        return _file(path, self._group("files").get(path))

    def files(self, prefix: str = "") -> Iterator[File]:
        """Yield the files below a prefix that are there, in the order of their paths."""
        group = self._group("files")
        for path in sorted(str(path) for path in group):
            if path.startswith(prefix):
                found = _file(path, group.get(path))
                if found.exists:
                    yield found

    def text(self, path: str) -> str:
        """Return the content of a file, stripped; empty where there is none."""
        return (self.file(path).text or "").strip()

    def ran(self, name: str) -> Ran:
        """Return what a command said; one that was never run is as if not installed."""
        raw = self._group("commands").get(name)
        if not isinstance(raw, Mapping):
            return Ran(argv=(), error="not run")
        argv, code = raw.get("argv"), raw.get("code")
        return Ran(
            argv=tuple(str(word) for word in argv) if isinstance(argv, list) else (),
            code=code if isinstance(code, int) else None,
            out=_text(raw.get("out")),
            err=_text(raw.get("err")),
            error=_text(raw.get("error")),
        )

    def proof(self, name: str) -> Mapping[str, Any] | None:
        """Return what a proof told, or None where it was not tried."""
        raw = self._group("proofs").get(name)
        return raw if isinstance(raw, Mapping) else None

    def value(self, name: str) -> Any:
        """Return a plain value that the probe put at the top of the section, or None."""
        return self._raw.get(name)

    def _group(self, name: str) -> Mapping[str, Any]:
        group = self._raw.get(name)
        return group if isinstance(group, Mapping) else {}


def _file(path: str, raw: object) -> File:
    if not isinstance(raw, Mapping):
        return File(path=path, error="ENOENT")
    text = raw.get("text")
    numbers = {
        name: value for name in ("mode", "uid", "gid") if isinstance(value := raw.get(name), int)
    }
    return File(
        path=path,
        text=text if isinstance(text, str) else None,
        error=_text(raw.get("error")),
        **numbers,
    )


def _text(raw: object) -> str:
    return raw if isinstance(raw, str) else ""
