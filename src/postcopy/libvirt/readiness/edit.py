"""Changing settings of libvirt's own configuration files, and nothing else in them.

Comments, order and spacing stay. A setting that is only there as a comment is written behind that
comment, where whoever looks for it will find it.
"""

import re
from collections.abc import Mapping
from typing import TypeAlias

__all__ = ["Value", "format_value", "set_values"]

Value: TypeAlias = int | str | tuple[str, ...] | None
"""A number, a string, a list of strings; None takes a setting out."""

# The grammar of libvirt's virconf.c.
_TEXT = r'"""(?:.|\n)*?"""|"[^"\n]*"|\'[^\'\n]*\''
_GAP = r"(?:[ \t\r\n,]|#[^\n]*)*"
_VALUE = rf"(?:-?[0-9]+|{_TEXT}|\[{_GAP}(?:(?:{_TEXT}){_GAP})*\])"
_WIDTH = 96


def set_values(text: str, wanted: Mapping[str, Value]) -> str:
    """Return the text of a configuration file with settings as they are wanted.

    A setting that stands there several times gets the value everywhere. What is as it is wanted
    already is not touched, whatever it looks like.
    """
    for key, value in wanted.items():
        assignment = re.compile(
            rf"^(?P<start>[ \t]*{re.escape(key)}[ \t]*=[ \t]*)(?P<value>{_VALUE})", re.MULTILINE
        )
        found = [match for match in assignment.finditer(text) if not _inside(text, match.start())]
        for match in reversed(found):
            text = text[: match.start()] + _changed(match, value) + text[match.end() :]
        if not found and value is not None:
            text = _inserted(text, key, f"{key} = {format_value(value)}\n")
    return text


def format_value(value: int | str | tuple[str, ...]) -> str:
    """Return a value as libvirt reads it.

    :raises ValueError: for a string that it cannot read back: libvirt knows no escapes.
    """
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        words = [format_value(one) for one in value]
        line = f"[ {', '.join(words)} ]" if words else "[ ]"
        return line if len(line) <= _WIDTH else "[\n" + "".join(f"    {w},\n" for w in words) + "]"
    if '"' not in value and "\n" not in value:
        return f'"{value}"'
    if '"""' in value or value.endswith('"'):
        raise ValueError(f"libvirt cannot read {value!r}")
    return f'"""{value}"""'


def _changed(match: re.Match[str], value: Value) -> str:
    if value is None:
        return "".join(f"#{line}" for line in match[0].splitlines(keepends=True))
    if _read(match["value"]) == value:
        return match[0]
    return match["start"] + format_value(value)


def _read(text: str) -> Value:
    if text.startswith("["):
        return tuple(
            _unquoted(word) for word in re.findall(_TEXT, re.sub(r"(?m)^\s*#.*$", "", text))
        )
    return _unquoted(text) if text[0] in "\"'" else int(text)


def _unquoted(text: str) -> str:
    return text[3:-3] if text.startswith('"""') and len(text) > 5 else text[1:-1]


def _inside(text: str, at: int) -> bool:
    """Return whether a place is inside a text of several lines."""
    return len(re.findall(r'^[^#\n]*?"""', text[:at], re.MULTILINE)) % 2 == 1


def _inserted(text: str, key: str, line: str) -> str:
    """Write a new line behind the comment that shows its key, or at the end."""
    comment = rf"^#[ \t]*{re.escape(key)}[ \t]*=(?P<rest>[^\n]*)\n"
    # The last one: what comes before it is prose and examples.
    shown = next(reversed(list(re.finditer(comment, text, re.MULTILINE))), None)
    if shown is None:
        return (text if not text or text.endswith("\n") else text + "\n") + line
    end = shown.end()
    if shown["rest"].strip().startswith("[") and "]" not in shown["rest"]:
        closing = re.compile(r"(?:#[^\n\]]*\n)*#[^\n]*\][^\n]*\n").match(text, end)
        end = closing.end() if closing else end
    return text[:end] + line + text[end:]
