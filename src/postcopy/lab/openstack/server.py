"""A server of the lab's cloud: the witness once more, started and moved by Nova."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from postcopy.errors import NotFoundError, RefusedError, UnavailableError
from postcopy.lab import boot, libvirtd, names, recorder, talk
from postcopy.lab.boot import INSIDE
from postcopy.lab.host import Host
from postcopy.lab.lab import Lab
from postcopy.lab.machine import GuestSpec
from postcopy.lab.openstack import clouds, images
from postcopy.lab.records import Verdict
from postcopy.lab.whereabouts import running_on
from postcopy.lab.witnessed import Witnessed

__all__ = ["LabServer"]

T = TypeVar("T")

_DIRECTORY = "servers"
_BUILD_SECONDS = 120.0
_DELETE_SECONDS = 60.0
_COMMANDS = 1
"""The serial port on which the witness takes commands."""


class LabServer(Witnessed):
    """One server of one lab's cloud. Where it runs is asked of both daemons each time.

    :param lab: a lab that is up, with a cloud.
    :param spec: the guest.
    :param uuid: of the server, and of its domain.
    """

    kind = "server"

    def __init__(self, lab: Lab, spec: GuestSpec, uuid: str) -> None:
        self.lab = lab
        self.spec = spec
        self.uuid = uuid
        self.hosts = {name: lab.host(name) for name in names.HOSTS}

    @staticmethod
    def names(lab: Lab) -> list[str]:
        """Return the names of all servers of a lab that were started here."""
        return sorted(path.stem for path in (lab.runtime_dir / _DIRECTORY).glob("*.json"))

    @classmethod
    def load(cls, lab: Lab, name: str) -> Self:
        """Return a server that was started earlier.

        :raises NotFoundError: when the lab has none of that name.
        """
        if name not in cls.names(lab):
            raise NotFoundError(
                f"lab {lab.name!r} has no server {name!r}",
                hint=f"start one: postcopy lab guest {name} --server --host alpha",
            )
        fields = json.loads((lab.runtime_dir / _DIRECTORY / f"{name}.json").read_text())
        return cls(lab, GuestSpec.from_dict(fields["spec"]), fields["uuid"])

    @classmethod
    async def start(cls, lab: Lab, spec: GuestSpec, host: str) -> Self:
        """Have Nova start a server on a host, and wait until its workload runs.

        :raises RefusedError: when a server of that name exists, or a disk or KVM is asked for.
        :raises UnavailableError: when it does not boot.
        """
        if spec.name in cls.names(lab):
            raise RefusedError(
                f"lab {lab.name!r} has a server {spec.name!r} already",
                hint=f"stop it first: postcopy lab guest {spec.name} --stop",
            )
        if spec.accelerator != "tcg":
            raise RefusedError(
                "the lab's nova-compute emulates its guests", hint="leave --accelerator out"
            )
        if spec.disk is not None:
            raise RefusedError(
                "a server's witness proves its memory, and no disk", hint="leave the disk out"
            )
        lab.host(names.CONTROLLER)  # a lab without a cloud is told before anything is made
        there = lab.guest_host(host)
        files = await boot.provide_boot_files(lab, there)
        kernel, initramfs = (
            there.runtime_dir / path.name for path in (files.kernel, files.initramfs)
        )
        uuid = await _in_cloud(lab, lambda c: _create(c, spec, host, kernel, initramfs))
        server = cls(lab, spec, uuid)
        path = lab.runtime_dir / _DIRECTORY / f"{spec.name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"spec": spec.to_dict(), "uuid": uuid}))
        try:
            await asyncio.gather(*(server._record(one) for one in server.hosts.values()))
            await _in_cloud(lab, server._wait_until_active)
            await talk.wait_ready(spec.name, server._log(there))
        except BaseException:
            await server.stop()
            raise
        return server

    async def states(self) -> dict[str, str]:
        """Return what each daemon says of the server's domain, by host."""
        return await libvirtd.domain_states(self.hosts, self.uuid)

    async def where(self) -> str:
        """Return the host on which it runs, as libvirt says; Nova may think otherwise.

        :raises UnavailableError: when it runs nowhere.
        """
        return running_on(
            await self.states(),
            f"server {self.spec.name!r}",
            absent="it has no domain",
            hint=f"openstack server show {self.spec.name}; give it up:"
            f" postcopy lab guest {self.spec.name} --stop",
        )

    async def domain_name(self, host: str) -> str:
        """Return what Nova has called its domain, as libvirt says on a host that has it."""
        return (await self.hosts[host].run("virsh", "domname", self.uuid)).stdout.strip()

    async def on_record(self) -> dict[str, Any]:
        """Return where Nova and Placement take it to be: ``host``, ``status``, ``task``, ``room``.

        ``room`` are the hosts on which some is kept for it.
        """
        return await _in_cloud(self.lab, self._on_record)

    async def verify(self) -> Verdict:
        """Have the guest check every page of its memory and return what it found.

        :raises UnavailableError: when the guest does not answer.
        """
        host = self.hosts[await self.where()]
        port = recorder.serial_port(self.uuid, _COMMANDS, str(host.root_dir / "proc"))
        if port is None:
            raise UnavailableError(
                f"server {self.spec.name!r} has no port for commands on {host.name}",
                hint="was it started by `postcopy lab guest --server`?",
            )
        return await talk.verify(self.spec.name, port, self._log(host))

    def console_log(self, host: str) -> Path:
        """Return the file of what the guest said on a host."""
        return self._log(self.hosts[host])

    async def stop(self) -> None:
        """Delete the server and its image, and forget it."""
        await _in_cloud(self.lab, self._delete)
        for host in self.hosts.values():
            recorder_of = f"recorder.py uuid:{self.uuid} "
            await host.run("pkill", "-f", recorder_of, check=False)
            self._log(host).unlink(missing_ok=True)
        (self.lab.runtime_dir / _DIRECTORY / f"{self.spec.name}.json").unlink(missing_ok=True)

    def _wait_until_active(self, connection: Any) -> None:
        deadline = time.monotonic() + _BUILD_SECONDS
        while True:
            server = connection.compute.get_server(self.uuid)
            if server.status == "ACTIVE":
                return
            if server.status == "ERROR":
                fault = (server.fault or {}).get("message", "Nova does not say why")
                raise UnavailableError(
                    f"Nova cannot start server {self.spec.name!r}: {fault}",
                    hint="see /var/log/nova inside the hosts",
                )
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"server {self.spec.name!r} is still {server.status}"
                    f" after {_BUILD_SECONDS:.0f} s",
                    hint="see /var/log/nova inside the hosts",
                )
            time.sleep(0.2)

    def _on_record(self, connection: Any) -> dict[str, Any]:
        server = connection.compute.get_server(self.uuid)
        told = connection.placement.get(f"/allocations/{self.uuid}").json()["allocations"]
        known = connection.placement.get("/resource_providers").json()["resource_providers"]
        return {
            "host": server.compute_host,
            "status": server.status,
            "task": server.task_state,
            "room": sorted(one["name"] for one in known if one["uuid"] in told),
        }

    def _delete(self, connection: Any) -> None:
        server = connection.compute.find_server(self.uuid)
        if server is not None:
            connection.compute.delete_server(server)
        # Not the SDK's own wait: that takes DELETED for the end, and Nova still counts such a one.
        deadline = time.monotonic() + _DELETE_SECONDS
        while connection.compute.find_server(self.uuid) is not None:
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"server {self.spec.name!r} is still there {_DELETE_SECONDS:.0f} s after Nova"
                    " was told to delete it",
                    hint="see /var/log/nova inside the hosts, and try again",
                )
            time.sleep(0.2)
        images.delete_image(connection, self.spec.name)

    async def _record(self, host: Host) -> None:
        (host.runtime_dir / _DIRECTORY).mkdir(exist_ok=True)
        files = await boot.provide_boot_files(self.lab, host)
        base = f"{INSIDE}/{_DIRECTORY}/{self.spec.name}"
        command = f"/usr/bin/python3 -I {files.recorder} uuid:{self.uuid} {base}.log stay"
        await host.run("sh", "-c", f"exec setsid -f {command} </dev/null >{base}.err 2>&1")

    def _log(self, host: Host) -> Path:
        return host.runtime_dir / _DIRECTORY / f"{self.spec.name}.log"


async def _in_cloud(lab: Lab, work: Callable[[Any], T]) -> T:
    """Call something that blocks with a connection to a lab's cloud, and tell its errors as ours.

    :raises UnavailableError: when the cloud refuses, or does not answer.
    """

    def call() -> T:
        from keystoneauth1.exceptions import ClientException
        from openstack.exceptions import SDKException

        try:
            return work(clouds.connect(clouds.file_of(lab.runtime_dir)))
        except (SDKException, ClientException) as error:
            raise UnavailableError(
                f"the cloud of lab {lab.name!r} says: {error}",
                hint="postcopy lab status says which of its services run",
            ) from error

    return await asyncio.to_thread(call)


def _create(connection: Any, spec: GuestSpec, host: str, kernel: Path, initramfs: Path) -> str:
    image = images.create_image(connection, spec.name, spec.workload, kernel, initramfs)
    try:
        server = connection.compute.create_server(
            name=spec.name,
            image_id=image,
            flavor_id=images.provide_flavor(connection, spec.workload),
            networks="none",
            host=host,
        )
    except BaseException:
        images.delete_image(connection, spec.name)
        raise
    return str(server.id)
