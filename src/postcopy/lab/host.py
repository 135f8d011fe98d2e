"""One host of a lab: started with `start`, used through `Host`."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from postcopy import pids, processes
from postcopy.errors import NotFoundError, PermissionDeniedError, UnavailableError
from postcopy.hosts import LocalHost
from postcopy.lab import init, names
from postcopy.lab.state import HostRecord

__all__ = ["Host", "start"]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_START_SECONDS = 20.0


@dataclass(frozen=True)
class Host:
    """A running host.

    :ivar lab: the lab that it belongs to.
    :ivar pid: its first process, as the machine counts.
    :ivar data_address: IPv4, on the link to the other host; empty where there is no such link.
    :ivar control_address: IPv4, on the link to the machine.
    :ivar runtime_dir: the directory on the machine that is ``/run/postcopy`` inside.
    """

    lab: str
    name: str
    pid: int
    data_address: str
    control_address: str
    runtime_dir: Path

    @property
    def root_dir(self) -> Path:
        """The host's root directory, as a path on the machine."""
        return Path(f"/proc/{self.pid}/root")

    async def run(
        self,
        *argv: str,
        user: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as that of `processes.run`
        check: bool = True,
        stdin: str | None = None,
    ) -> processes.Completed:
        """Run a command inside the host to its end; see `postcopy.processes.run`.

        :param user: whom to run it as; without one, root.
        :raises NotFoundError: when the host has no such user.
        """
        return await processes.run(
            *self.command(*argv, user=user),
            stdin=stdin,
            timeout=timeout,
            env=self.environment(user),
            check=check,
        )

    def command(self, *argv: str, user: str | None = None) -> list[str]:
        """Return the command for the machine that runs `argv` inside the host.

        It wants the environment that `environment` returns.
        """
        inside = list(argv)
        if user is not None:
            _, group, _ = self._account(user)
            inside = ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", *argv]
        enter = ["-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
        return [processes.program("nsenter"), *enter, "--", *inside]

    def environment(self, user: str | None = None) -> Mapping[str, str]:
        """Return the whole environment of a command inside the host."""
        home = self._account(user)[2] if user is not None else "/root"
        return {"PATH": _PATH, "HOME": home, "LANG": "C.UTF-8", names.MARKER: self.lab}

    def access(self) -> LocalHost:
        """Return the way into this host that checks and recovery take."""
        return LocalHost(self.name, self.command(), self.environment(), self.root_dir)

    def daemon(self, pid_file: str, name: str) -> int | None:
        """Return the process number, inside the host, of a daemon that wrote it to a file.

        :returns: None when no process of that name has it.
        """
        root = self.root_dir
        try:
            number = int((root / pid_file.lstrip("/")).read_text())
            running = (root / f"proc/{number}/comm").read_text().strip()
        except (OSError, ValueError):
            return None
        return number if running == name else None

    def qemu(self, pid_file: str) -> int | None:
        """Return the id, on this machine, of the QEMU that wrote its number to a file."""
        number = self.daemon(pid_file, "qemu-system-x86")
        return None if number is None else pids.inside(self.pid, number)

    def _account(self, user: str) -> tuple[int, int, str]:
        for line in (self.root_dir / "etc/passwd").read_text().splitlines():
            name, _, uid, gid, _, home, _ = line.split(":")
            if name == user:
                return int(uid), int(gid), home
        raise NotFoundError(
            f"host {self.name} has no user {user}", hint="see /etc/passwd inside the host"
        )


async def start(lab: str, spec: init.HostSpec) -> HostRecord:
    """Start a host and return when everything in it is in place.

    :raises PermissionDeniedError: when the kernel refuses for lack of a privilege.
    :raises UnavailableError: when it cannot be set up.
    """
    result = await processes.run(
        sys.executable,
        "-I",
        "-S",
        init.__file__,
        stdin=spec.to_json(),
        env={"PATH": _PATH, "LANG": "C.UTF-8", names.MARKER: lab},
        timeout=_START_SECONDS,
        check=False,
    )
    told: dict[str, object] = {}
    for line in result.stdout.splitlines():
        told |= json.loads(line)
    if not told.get("ready"):
        reason = str(told.get("error") or result.stderr.strip() or "its first process ended")
        message = f"host {spec.name} of lab {lab} cannot be set up: {reason}"
        if told.get("errno") in (1, 13):
            raise PermissionDeniedError(
                message, hint="run this as root, in a container with CAP_SYS_ADMIN"
            )
        raise UnavailableError(message, hint="the kernel needs namespaces and overlayfs")
    pid = int(str(told["pid"]))
    started = pids.start_time(pid)
    if started is None:
        raise UnavailableError(
            f"host {spec.name} of lab {lab} ended at once",
            hint=f"was it killed? `dmesg | tail` on {os.uname().nodename} may say why",
        )
    return HostRecord(pid, started)
