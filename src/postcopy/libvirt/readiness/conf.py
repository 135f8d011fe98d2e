"""libvirt's own configuration files: ``key = value``, with numbers, strings and lists of strings.

The grammar is that of libvirt's ``virconf.c``. What cannot be read is noted by its line, because
the daemon that reads the same file refuses to start.
"""

import re
from dataclasses import dataclass, field

__all__ = ["Conf"]

Value = int | str | tuple[str, ...]

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+|\#[^\n]*)
      |(?P<text>\"\"\".*?\"\"\"|"[^"\n]*"|'[^'\n]*')
      |(?P<number>-?[0-9]+)
      |(?P<word>[A-Za-z_][A-Za-z0-9_.-]*)
      |(?P<mark>[=\[\],])
      |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Conf:
    """What a file sets.

    :ivar values: by key; the last one counts.
    :ivar bad_lines: numbers of lines that make no sense.
    :ivar suggested: what commented lines show as the default, by key, as they stand.
    """

    values: dict[str, Value] = field(default_factory=dict)
    bad_lines: tuple[int, ...] = ()
    suggested: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Conf":
        """Read a file's text; never raises."""
        values: dict[str, Value] = {}
        bad: list[int] = []
        tokens = _tokens(text)
        at = 0
        while at < len(tokens):
            kind, word, line = tokens[at]
            value, end = _value(tokens, at + 2) if kind == "word" else (None, at)
            if value is None or tokens[at + 1][:2] != ("mark", "="):
                bad.append(line)
                # On to the next line: one slip makes one complaint.
                while at < len(tokens) and tokens[at][2] == line:
                    at += 1
                continue
            values[word] = value
            at = end
        return cls(values, tuple(bad), dict(_COMMENTED.findall(text)))

    def text(self, key: str, default: str = "") -> str:
        """Return a string, or the default where there is none."""
        value = self.values.get(key)
        return value if isinstance(value, str) else default

    def number(self, key: str, default: int) -> int:
        """Return a number, also one in quotes; or the default."""
        value = self.values.get(key)
        if isinstance(value, int):
            return value
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            return int(value)
        return default

    def words(self, key: str) -> tuple[str, ...] | None:
        """Return a list, a single string being one of one; None where it is not set."""
        value = self.values.get(key)
        if value is None or isinstance(value, int):
            return None
        return (value,) if isinstance(value, str) else value


_COMMENTED = re.compile(r'^#([a-z_0-9]+) = "([^"\n]*)"', re.MULTILINE)
_Tokens = list[tuple[str, str, int]]


def _tokens(text: str) -> _Tokens:
    found = []
    line = 1
    for match in _TOKEN.finditer(text):
        kind, word = match.lastgroup or "other", match[0]
        if kind != "space":
            found.append((kind, word, line))
        line += word.count("\n")
    return found


def _value(tokens: _Tokens, at: int) -> tuple[Value | None, int]:
    """Return the value that begins at a token, and where it ends; None where there is none."""
    if at >= len(tokens):
        return None, at
    kind, word, _ = tokens[at]
    if kind == "text":
        return _unquoted(word), at + 1
    if kind == "number":
        return int(word[:18]), at + 1
    if word != "[":
        return None, at
    items: list[str] = []
    for kind, word, _ in tokens[at + 1 :]:
        at += 1
        if word == "]" and kind == "mark":
            return tuple(items), at + 1
        if kind == "text":
            items.append(_unquoted(word))
        elif word != ",":
            break
    return None, at


def _unquoted(word: str) -> str:
    return word[3:-3] if word.startswith('"""') and len(word) > 5 else word[1:-1]
