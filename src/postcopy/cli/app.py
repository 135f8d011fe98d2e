"""The command's entry point: finds the subcommand, and turns every error into words and a code."""

import sys
import traceback
from typing import Any

import click

from postcopy import __version__
from postcopy.cli.lazy import LazyGroup
from postcopy.errors import EXIT_INTERRUPTED, PostcopyError, UsageError
from postcopy.paths import state_dir

__all__ = ["confess", "main"]

_COMMANDS = {
    "demo": ("postcopy.cli.demo", "Move a busy guest between two real hosts on this machine."),
    "check": ("postcopy.cli.check", "Is a host, a pair of hosts, a guest ready for post-copy?"),
    "plan": ("postcopy.cli.plan", "Forecast every method of moving a guest, and recommend one."),
    "setup": ("postcopy.cli.setup", "Mend what check finds wrong: plan, diff, apply, undo."),
    "migrate": ("postcopy.cli.migrate", "Move a guest, with live progress."),
    "attach": ("postcopy.cli.attach", "Pick a running migration up and see it to its end."),
    "switch": ("postcopy.cli.attach", "Switch a running migration to post-copy now."),
    "cancel": ("postcopy.cli.attach", "Call a migration off, while that is safe."),
    "recover": ("postcopy.cli.recover", "Bring an interrupted post-copy to its end."),
    "watch": ("postcopy.cli.watch", "Guard hosts: recover every post-copy that is interrupted."),
    "guest": ("postcopy.cli.guest", "Give a domain what its recovery may need."),
    "history": ("postcopy.cli.history", "What was moved, when, and how it went."),
    "report": ("postcopy.cli.history", "Write the page of one run."),
    "bench": ("postcopy.cli.bench", "Many moves and many faults, measured."),
    "policies": ("postcopy.cli.policies", "The rules for when to switch, and their parameters."),
    "lab": ("postcopy.cli.lab", "Real hosts on one machine: up, down, status, exec, link, guest."),
}


@click.group(
    cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="postcopy")
def postcopy() -> None:
    """Post-copy live migration: any guest, however busy, moves in bounded time.

    Exit codes: 0 done; 1 the migration did not succeed; 64 usage; 65 refused, to keep a guest
    safe; 66 not found; 69 not reachable; 73 the journal cannot be written; 75 try again;
    76 outcome unknown; 77 not permitted; 130 interrupted.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its documented code; a person never sees a traceback."""
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        result: Any = postcopy.main(arguments, prog_name="postcopy", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return UsageError.exit_code
    except PostcopyError as error:
        _complain(error)
        return error.exit_code
    except BaseExceptionGroup as group:
        known, unknown = group.split(PostcopyError)
        if known is None or unknown is not None:
            return confess(group)
        first = _first(known)
        _complain(first)
        return first.exit_code
    except BrokenPipeError:
        # The reader (head, less) has left: nothing more can be told, and that is no failure here.
        sys.stderr.close()
        return 0
    except Exception as error:  # noqa: BLE001 - the last resort: a person sees no traceback
        return confess(error)
    return result if isinstance(result, int) else 0


def _complain(error: PostcopyError) -> None:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error.message}", err=True)
    if error.hint:
        click.echo(f"{click.style('hint:', bold=True)} {error.hint}", err=True)


def confess(error: BaseException) -> int:
    """Keep the traceback of what should never happen in a file, and name the file."""
    path = state_dir() / "crash.log"
    where = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a", encoding="utf-8") as log:
            traceback.print_exception(error, file=log)
        where = f" (details in {path})"
    except OSError:
        pass  # a full disk may be what went wrong; the message below must come in any case
    click.echo(f"error: internal: {type(error).__name__}: {error}{where}", err=True)
    return PostcopyError.exit_code


def _first(group: BaseExceptionGroup[PostcopyError]) -> PostcopyError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
