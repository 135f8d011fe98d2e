"""Every error this project raises on purpose.

::

    PostcopyError
    ├── UsageError             64  the command line or an argument makes no sense
    ├── RefusedError           65  possible to ask, dangerous to do: a guard said no
    ├── NotFoundError          66  no such guest, host, lab, run or policy
    ├── UnavailableError       69  a host, monitor or lab does not answer
    ├── JournalError           73  the journal cannot be written or read
    ├── MigrationError          1  the migration ended, and not as wanted
    ├── RetryableError         75  nothing happened; the same call may work later
    ├── OutcomeUnknownError    76  it may have happened: look before acting again
    └── PermissionDeniedError  77  this needs root, or a capability

The three fates of a failed call are three types: nothing happened (all but the next two), nothing
happened and trying again may help (`RetryableError`), and nobody knows (`OutcomeUnknownError`).

Exit codes follow ``sysexits.h`` where it has a word for the case; 130 is an interrupt by the user.
"""

from typing import ClassVar

__all__ = [
    "EXIT_INTERRUPTED",
    "JournalError",
    "MigrationError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "PostcopyError",
    "RefusedError",
    "RetryableError",
    "UnavailableError",
    "UsageError",
]

EXIT_INTERRUPTED = 130
"""What a shell reports for a command ended by SIGINT (128 + 2)."""


class PostcopyError(Exception):
    """Something went wrong in a way that a person can act on.

    :param message: what is wrong, naming the thing and what was expected.
    :param hint: what to do next; printed on a line of its own.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PostcopyError):
    """An argument makes no sense, whatever the state of the world."""

    exit_code = 64


class RefusedError(PostcopyError):
    """A guard refused an action that could hurt a guest."""

    exit_code = 65


class NotFoundError(PostcopyError):
    """A guest, host, lab, run or policy of that name does not exist."""

    exit_code = 66


class UnavailableError(PostcopyError):
    """Something that must answer does not: a monitor, a host, a lab."""

    exit_code = 69


class JournalError(PostcopyError):
    """The journal of runs cannot be opened, read or written."""

    exit_code = 73


class MigrationError(PostcopyError):
    """The hypervisor ended the migration, and the guest is not at the destination."""

    exit_code = 1


class RetryableError(PostcopyError):
    """The call failed, nothing happened, and trying again later may work."""

    exit_code = 75


class OutcomeUnknownError(PostcopyError):
    """The call was sent and its answer lost: it may or may not have taken effect."""

    exit_code = 76


class PermissionDeniedError(PostcopyError):
    """The caller lacks a privilege that the action needs."""

    exit_code = 77
