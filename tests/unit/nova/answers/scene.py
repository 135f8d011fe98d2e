"""What is recorded: migrations by our own driver, and what a bystander asks besides."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from openstack.config import OpenStackConfig
from openstack.connection import Connection

from postcopy.errors import PostcopyError
from postcopy.lab import names
from postcopy.lab.lab import Lab
from postcopy.lab.openstack import clouds
from postcopy.migration.phase import Phase
from postcopy.nova.api import NovaApi
from postcopy.nova.driver import NovaDriver
from postcopy.nova.permission import GIVEN, Permission

from .tape import Recorder

__all__ = ["SERVER", "Scene", "Step", "after", "say"]

SERVER = "busy"

WORDS = {
    "/servers/{server}": ("2.9", "2.1"),
    "/servers/{server}/migrations": ("2.59", "2.24", "2.23"),
    "/servers/{server}/migrations/{number}": ("2.59", "2.24", "2.23"),
    "/os-migrations?instance_uuid={server}": ("2.59", "2.23", "2.1"),
}
"""What is asked once a phase, and in which microversions; in the first of them every second."""

Step = Callable[[NovaDriver, Phase], Awaitable[None]]


class Scene:
    """A lab, the server in its cloud, and where that is.

    :param folder: where tapes go.
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.source, self.destination = names.HOSTS
        self.recorder = Recorder(_replaced(lab))
        self.connection = self.connect()
        self.api = NovaApi(connection=self.connection)
        self.uuid = ""

    def connect(self, **auth: str) -> Any:
        """Return a new connection to the cloud, through the recorder.

        :param auth: what differs from the administrator's.
        """
        file = clouds.file_of(self.lab.runtime_dir)
        config = OpenStackConfig(config_files=[str(file)], load_envvars=False)
        region = config.get_one(clouds.CLOUD, auth=auth)
        made = Connection(config=region)
        made.session.session.trust_env = False
        made.session.mount("http://", self.recorder)
        return made

    async def begin(self, name: str) -> None:
        """Begin a tape, with a login and the discovery of versions."""
        packages = ("nova-common", "libvirt-daemon", "qemu-system-x86")
        form = "-f=${Package} ${Version}\n"
        told = await self.lab.host("alpha").run("dpkg-query", "-W", form, *packages)
        versions = dict(line.split() for line in told.stdout.splitlines())
        self.connection = await asyncio.to_thread(self.connect)
        self.api = NovaApi(connection=self.connection)
        about = {"scenario": name, "source": self.source, "destination": self.destination}
        self.recorder.begin({**about, **versions})

    def keep(self) -> None:
        """Write the tape."""
        tape, self.recorder.tape = self.recorder.tape, None
        assert tape is not None
        name = tape.about["scenario"]
        tape.save(self.folder / f"{name}.jsonl")
        say(f"  {name}: {len(tape.exchanges)} answers")

    async def ask(self, path: str, version: str, method: str = "get", **more: Any) -> Any:
        """Ask Nova something that our driver would not ask, or not in this way."""
        call = getattr(self.connection.compute, method)
        return await asyncio.to_thread(call, path, microversion=version, **more)

    async def example(self, what: str, call: Awaitable[Any]) -> None:
        """Record a call's answer as an example."""
        self.recorder.what = what
        try:
            await call
            say(f"  {what}: accepted")
        except PostcopyError as error:
            say(f"  {what}: {type(error).__name__}: {error.message}")
        finally:
            self.recorder.what = ""

    async def move(
        self,
        name: str,
        *,
        host: str | None = "",
        permission: Permission = GIVEN,
        then: Step | None = None,
    ) -> None:
        """Record one migration by the driver.

        :param host: where to; empty is the other host, None whatever the scheduler chooses.
        :param permission: what a switch does.
        :param then: what is done at each sample.
        """
        await self.begin(name)
        wanted = self.destination if host == "" else host
        driver = NovaDriver(SERVER, wanted, self.api, permission=permission, allow_pause=True)
        await driver.start()
        self.uuid = str(driver.record()["uuid"])
        number = int(driver.record()["migration"])
        phase: Phase | None = None
        async with self._bystander(number):
            async for sample in driver.samples():
                if sample.phase is not phase:
                    phase = sample.phase
                    say(f"  {name}: {phase}, {sample.status}")
                    await self._every_version(number)
                if then is not None:
                    await then(driver, sample.phase)
            await asyncio.sleep(8.0)  # what is written at the very end
        await self._every_version(number)
        self.keep()
        self.source = await driver.locate()
        self.destination = next(one for one in names.HOSTS if one != self.source)
        await driver.close()

    @contextlib.asynccontextmanager
    async def _bystander(self, number: int) -> AsyncIterator[None]:
        """Ask every second, in each place."""

        async def ask() -> None:
            while True:
                for path, versions in WORDS.items():
                    await self.ask(path.format(server=self.uuid, number=number), versions[0])
                await asyncio.sleep(1.0)

        asking = asyncio.create_task(ask())
        try:
            yield
        finally:
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking

    async def _every_version(self, number: int) -> None:
        for path, versions in WORDS.items():
            for version in versions:
                await self.ask(path.format(server=self.uuid, number=number), version)


def after(phase: Phase, seconds: float, what: Callable[[NovaDriver], Awaitable[Any]]) -> Step:
    """Return a step that does something once, so long after a phase has begun."""
    clock = asyncio.get_running_loop().time
    began: list[float] = []
    done: list[bool] = []

    async def step(driver: NovaDriver, now: Phase) -> None:
        if now is phase and not began:
            began.append(clock())
        if began and not done and clock() - began[0] >= seconds:
            done.append(True)
            await what(driver)

    return step


def say(text: str) -> None:
    """Say how far the recording is."""
    sys.stderr.write(f"{text}\n")


def _replaced(lab: Lab) -> dict[str, str]:
    """Return this machine's addresses, and for each one of those for documentation (RFC 5737)."""
    replaced = {}
    for number, name in enumerate((names.CONTROLLER, *names.HOSTS), 1):
        host = lab.host(name)
        replaced[host.control_address] = f"198.51.100.{number}"
        if host.data_address:
            replaced[host.data_address] = f"203.0.113.{number}"
    return replaced
