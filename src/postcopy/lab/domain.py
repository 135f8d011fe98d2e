"""A libvirt domain of the lab: the witness again, defined and started by a host's libvirtd."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Self
from xml.sax.saxutils import escape, quoteattr

from postcopy.errors import NotFoundError, RefusedError
from postcopy.lab import disk, libvirtd, names, talk
from postcopy.lab.boot import INSIDE, BootFiles, provide_boot_files
from postcopy.lab.host import Host
from postcopy.lab.lab import Lab
from postcopy.lab.machine import GuestSpec, command_line
from postcopy.lab.records import Verdict
from postcopy.lab.services.service import BRIDGE, MAC
from postcopy.lab.whereabouts import running_on
from postcopy.lab.witnessed import Witnessed
from postcopy.libvirt.monitor import NAMESPACE, monitor_xml

__all__ = ["LabDomain", "domain_xml"]

_INSIDE = INSIDE / "domains"
_TARGET = "vda"
_NAMESPACE = uuid.UUID("0b1f5a52-3c0e-4d0b-8a7e-5d4c9a1be7c4")


class LabDomain(Witnessed):
    """One domain of one lab. Where it runs is asked of both daemons each time.

    :param lab: a lab that is up.
    :param spec: the guest.
    """

    kind = "domain"

    def __init__(self, lab: Lab, spec: GuestSpec) -> None:
        self.lab = lab
        self.spec = spec
        self.hosts = {name: lab.host(name) for name in names.HOSTS}

    @property
    def uuid(self) -> str:
        """What libvirt knows it by, whatever it has been renamed to."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.lab.name}/{self.spec.name}"))

    @staticmethod
    def names(lab: Lab) -> list[str]:
        """Return the names of all domains of a lab."""
        return sorted(path.stem for path in (lab.runtime_dir / "domains").glob("*.json"))

    @classmethod
    def load(cls, lab: Lab, name: str) -> Self:
        """Return a domain that was started earlier.

        :raises NotFoundError: when the lab has none of that name.
        """
        if name not in cls.names(lab):
            raise NotFoundError(
                f"lab {lab.name!r} has no domain {name!r}",
                hint=f"start one: postcopy lab guest {name} --host alpha",
            )
        spec = json.loads((lab.runtime_dir / "domains" / f"{name}.json").read_text())
        return cls(lab, GuestSpec.from_dict(spec))

    @classmethod
    async def start(cls, lab: Lab, spec: GuestSpec, host: str) -> Self:
        """Define and start a domain on a host, and wait until its workload runs.

        :raises RefusedError: when a domain of that name exists.
        :raises UnavailableError: when it does not boot.
        """
        if spec.name in cls.names(lab):
            raise RefusedError(
                f"lab {lab.name!r} has a domain {spec.name!r} already",
                hint=f"stop it first: postcopy lab guest {spec.name} --stop",
            )
        domain = cls(lab, spec)
        path = lab.runtime_dir / "domains" / f"{spec.name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(spec.to_dict()))
        try:
            files, _ = await asyncio.gather(*(domain._record(one) for one in domain.hosts.values()))
            there = domain.hosts[host]
            if spec.disk is not None:
                await disk.create(spec.disk, spec.name, there, domain.hosts.values())
            definition = there.runtime_dir / "domains" / f"{spec.name}.xml"
            definition.write_text(domain_xml(spec, files, domain.uuid))
            await there.run("virsh", "define", f"{_INSIDE}/{spec.name}.xml")
            await there.run("virsh", "start", domain.uuid, timeout=60.0)
            await talk.wait_ready(spec.name, domain._log(there))
        except BaseException:
            await domain.stop()
            raise
        return domain

    async def states(self) -> dict[str, str]:
        """Return what each daemon says of the domain, by host; nothing where it is not known."""
        return await libvirtd.domain_states(self.hosts, self.uuid)

    async def where(self) -> str:
        """Return the host on which it runs.

        :raises UnavailableError: when it runs nowhere.
        """
        return running_on(
            await self.states(),
            f"domain {self.spec.name!r}",
            absent="it is not defined",
            hint=f"virsh list --all inside the hosts; give it up:"
            f" postcopy lab guest {self.spec.name} --stop",
        )

    async def ends(self) -> tuple[str, str]:
        """Return source and destination of the migration that is under way, or interrupted.

        :raises NotFoundError: when none is.
        """
        states = await self.states()
        leaving = [name for name, state in states.items() if state == "paused"]
        running = [name for name, state in states.items() if state == "running"]
        if len(leaving) == 1 and len(running) == 1:
            return leaving[0], running[0]
        seen = ", ".join(f"{state} on {name}" for name, state in states.items())
        raise NotFoundError(
            f"domain {self.spec.name!r} is in no post-copy that could be recovered: {seen}",
            hint="postcopy lab status",
        )

    async def verify(self) -> Verdict:
        """Have the guest check every page of its memory, and its disk; return what it found."""
        host = self.hosts[await self.where()]
        socket = host.runtime_dir / "domains" / f"{self.spec.name}.commands"
        return await talk.verify(self.spec.name, socket, self._log(host))

    def qemu(self, host: str) -> int | None:
        """Return the id, on this machine, of the domain's QEMU on a host."""
        return self.hosts[host].qemu(f"/run/libvirt/qemu/{self.spec.name}.pid")

    def qemu_log(self, host: str) -> Path:
        """Return the file in which libvirt keeps what the domain's QEMU said on a host."""
        return self.hosts[host].root_dir / f"var/log/libvirt/qemu/{self.spec.name}.log"

    def console_log(self, host: str) -> Path:
        """Return the file of what the guest said on a host."""
        return self._log(self.hosts[host])

    async def stop(self) -> None:
        """End the domain, undefine it on both hosts, and forget it."""
        for host in self.hosts.values():
            for verb in ("destroy", "undefine"):
                await host.run("virsh", verb, self.uuid, check=False, timeout=30.0)
            recorder = f"{_INSIDE}/{self.spec.name}.console "
            await host.run("pkill", "-f", f"recorder.py {recorder}", check=False)
            self._log(host).unlink(missing_ok=True)
        if self.spec.disk is not None:
            await disk.remove(self.spec.name, self.hosts.values())
        (self.lab.runtime_dir / "domains" / f"{self.spec.name}.json").unlink(missing_ok=True)

    async def _record(self, host: Host) -> BootFiles:
        """Have a recorder wait for the guest on a host, whenever it comes there."""
        directory = host.runtime_dir / "domains"
        directory.mkdir(exist_ok=True)
        directory.chmod(0o777)  # QEMU makes the second monitor, and may not be root
        files = await provide_boot_files(self.lab, host, self.spec.service)
        base = f"{_INSIDE}/{self.spec.name}"
        command = f"/usr/bin/python3 -I {files.recorder} {base}.console {base}.log stay"
        await host.run("sh", "-c", f"exec setsid -f {command} </dev/null >{base}.err 2>&1")
        return files

    def _log(self, host: Host) -> Path:
        return host.runtime_dir / "domains" / f"{self.spec.name}.log"


def domain_xml(spec: GuestSpec, files: BootFiles, identity: str) -> str:
    """Return the definition of a guest's domain, with paths as they are inside the hosts.

    :param identity: its UUID.
    """
    base = f"{_INSIDE}/{spec.name}"
    kind = "kvm" if spec.accelerator == "kvm" else "qemu"
    cpu = (
        "<cpu mode='host-passthrough'/>"
        if spec.accelerator == "kvm"
        else "<cpu mode='custom'><model>qemu64</model></cpu>"
    )
    ports = "".join(
        f"<serial type='unix'><source mode='bind' path={quoteattr(f'{base}.{name}')}/></serial>"
        for name in ("console", "commands")
    )
    device, drive = None, ""
    if spec.disk is not None:
        device = f"/dev/{_TARGET}"
        drive = f"""
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file={quoteattr(str(spec.disk.path(spec.name)))}/>
      <target dev='{_TARGET}' bus='virtio'/>
    </disk>"""
    link = ""
    if spec.service is not None:
        # Each host's libvirt makes a port of its own in the bridge of that name.
        link = f"""
    <interface type='bridge'>
      <mac address='{MAC}'/>
      <source bridge='{BRIDGE}'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>"""
    monitor = ""
    if spec.second_monitor:
        arguments = monitor_xml(f"{base}.rescue")
        monitor = f"  <qemu:commandline>\n{arguments}  </qemu:commandline>\n"
    return f"""<domain type='{kind}' xmlns:qemu='{NAMESPACE}'>
  <name>{escape(spec.name)}</name>
  <uuid>{identity}</uuid>
  <memory unit='MiB'>{spec.memory_mib}</memory>
  <vcpu>{spec.vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='{files.machine}'>hvm</type>
    <kernel>{files.kernel}</kernel>
    <initrd>{files.initramfs}</initrd>
    <cmdline>{escape(command_line(spec, device))}</cmdline>
  </os>
  <features><acpi/></features>
  {cpu}
  <on_poweroff>destroy</on_poweroff>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>{drive}{link}
    {ports}
    <memballoon model='none'/>
  </devices>
{monitor}</domain>
"""
