"""What every page has in common: the frame, the look, and being written whole or not at all."""

import contextlib
import json
import os
from importlib import resources
from pathlib import Path

from postcopy.errors import PostcopyError

__all__ = ["fill", "json_for_script", "part", "write_whole"]


def part(name: str) -> str:
    """Return one of the files that pages are made of.

    ``frame.html`` is around all of them, and ``page.css`` has their look.
    """
    return resources.files("postcopy.report").joinpath(name).read_text("utf-8")


def fill(template: str, **values: object) -> str:
    """Return a page.

    :param template: what extends ``frame.html``, in Jinja's words.
    :param values: what it shows; the frame shows ``title`` and, as JSON, ``data``.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    pages = Environment(autoescape=True, undefined=StrictUndefined, loader=FunctionLoader(part))
    return pages.from_string(template).render(style=part("page.css"), **values)


def json_for_script(data: object) -> str:
    """Return JSON that nothing within can end the script element around (HTML, 13.2.5.4)."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all; directories above it are made when missing.

    :raises PostcopyError: when it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise PostcopyError(
            f"cannot write the page {path}: {error.strerror or error}",
            hint="name another file, in a directory that is writable and has 2 MB to spare",
        ) from error
