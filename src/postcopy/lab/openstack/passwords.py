"""What is secret in a lab's cloud: made for that lab, in files that root alone may read."""

import base64
import contextlib
import json
import os
import secrets
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from postcopy.errors import UnavailableError

__all__ = ["Passwords", "write_private"]

_MODE = 0o600


def write_private(path: Path, text: str) -> None:
    """Write a file that root alone may read, whole or not at all.

    One that says so already stays as old as it is: a service that has read it is up to date.
    """
    with contextlib.suppress(OSError):
        if path.read_text("utf-8") == text and stat.S_IMODE(path.stat().st_mode) == _MODE:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


@dataclass(frozen=True, slots=True)
class Passwords:
    """The secrets of one cloud.

    :ivar admin: of its administrator, who is in clouds.yaml.
    :ivar service: of the users that services have in Keystone.
    :ivar database: of MariaDB's user.
    :ivar messages: of RabbitMQ's user.
    :ivar token_keys: Keystone's Fernet keys, the staged one first.
    """

    admin: str
    service: str
    database: str
    messages: str
    token_keys: tuple[str, str]

    def __repr__(self) -> str:
        return "Passwords(...)"  # never in a log or a traceback

    @classmethod
    def generate(cls) -> "Passwords":
        """Return new ones."""
        admin, service, database, messages = (secrets.token_hex(16) for _ in range(4))
        staged, primary = (
            base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() for _ in range(2)
        )
        return cls(admin, service, database, messages, (staged, primary))

    @classmethod
    def of(cls, path: Path) -> "Passwords":
        """Return those in a file, making it if there is none.

        :raises UnavailableError: when the file makes no sense.
        """
        if not path.exists():
            made = cls.generate()
            write_private(path, json.dumps(asdict(made)) + "\n")
            return made
        try:
            fields = json.loads(path.read_text())
            return cls(**{**fields, "token_keys": tuple(fields["token_keys"])})
        except (ValueError, TypeError, KeyError) as error:
            raise UnavailableError(
                f"{path} does not hold the passwords of a cloud",
                hint="`postcopy lab down` takes the lab away; a new one has new passwords",
            ) from error
