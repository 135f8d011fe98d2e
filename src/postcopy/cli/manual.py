"""The manual page of all commands: ``python -m postcopy.cli.manual > docs/man/postcopy.1``.

Made of the commands' own help, so that it says nothing else than they do. click-man would have done
it, and does not see commands that are loaded when they are called.
"""

import inspect
import re
from collections.abc import Iterator

import click

from postcopy.cli.app import postcopy

__all__ = ["page"]

_HEAD = """\
.\\" Made from the commands themselves by `make manual`.
.TH POSTCOPY 1 "" postcopy "Post-copy live migration"
.SH NAME
postcopy \\- drive, watch, recover and prove post-copy live migrations
.SH SYNOPSIS
.B postcopy
.I COMMAND
.RI [ OPTION ]...
.RI [ ARGUMENT ]...
"""

_TAIL = """\
.SH ENVIRONMENT
.TP
.B POSTCOPY_STATE_DIR
Where the journal of runs, the claims on guests and the records of changes are kept;
.I ~/.local/state/postcopy
if not set.
.TP
.B POSTCOPY_CACHE_DIR
Where the lab keeps what can be built again;
.I ~/.cache/postcopy
if not set.
.TP
.B POSTCOPY_RUNTIME_DIR
Where labs that are up are;
.I /run/postcopy
if not set.
.TP
.B OS_CLOUD
The cloud of
.BR "postcopy migrate" ,
where nothing else says what the guest is.
.SH SEE ALSO
.BR postcopy\\-watch (8),
.BR virsh (1),
.BR qemu (1)
"""


def page() -> str:
    """Return the page, in roff (man(7))."""
    lines: list[str] = [_HEAD.rstrip("\n"), ".SH DESCRIPTION"]
    text, _, codes = inspect.cleandoc(postcopy.help or "").partition("Exit codes: ")
    lines += _paragraphs(text)
    lines.append(".SH COMMANDS")
    context = click.Context(postcopy, info_name="postcopy")
    for name in postcopy.list_commands(context):
        lines += _command(context, name, postcopy.get_command(context, name))
    lines.append(".SH EXIT STATUS")
    for code in re.split(r";\s+", codes.rstrip(".\n ")):
        number, _, meaning = code.partition(" ")
        lines += [".TP", f".B {number}", _plain(" ".join(meaning.split()))]
    return "\n".join([*lines, _TAIL])


def _command(above: click.Context, name: str, command: click.Command | None) -> Iterator[str]:
    assert command is not None  # it was listed
    context = click.Context(command, info_name=name, parent=above)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            yield from _command(context, below, command.get_command(context, below))
        return
    pieces = [one for one in command.collect_usage_pieces(context) if one != "[OPTIONS]"]
    yield f'.SS "{_plain(" ".join([context.command_path, *pieces]))}"'
    yield from _paragraphs(inspect.cleandoc(command.help or ""))
    for parameter in command.get_params(context):
        names, text = parameter.get_help_record(context) or ("", "")
        if text and "--help" not in names:
            yield from (".TP", f".B {_plain(names)}", _plain(text))


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ".PP"
        yield _plain(" ".join(paragraph.replace("\b", "").split()))


def _plain(text: str) -> str:
    """Return text in which roff finds nothing to obey."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


if __name__ == "__main__":
    print(page(), end="")
