"""Commands to a QEMU whose only monitor libvirt holds."""

import asyncio
from pathlib import Path

import pytest

from postcopy.errors import UnavailableError
from postcopy.libvirt.passing import borrowed
from postcopy.qemu.monitor import Monitor
from postcopy.testing import ScriptedQmp


class Daemon:
    """A host whose libvirt daemon holds the monitor of its one QEMU; it is the `Way` there, too."""

    def __init__(self, qemu: ScriptedQmp, *, comes_back: bool = True) -> None:
        self.qemu = qemu
        self.monitor = Monitor(qemu.path, "the daemon")
        self._comes_back = comes_back

    async def own_monitor(self, domain: str) -> str:
        return f"/var/lib/libvirt/qemu/domain-1-{domain}/monitor.sock"

    async def socket(self, path: str) -> Path:
        assert path.endswith("domain-1-web/monitor.sock")
        return self.qemu.path

    async def restart_libvirt(self) -> None:
        await self.monitor.close()
        if not self._comes_back:
            raise UnavailableError("it does not come back")
        self.monitor = Monitor(self.qemu.path, "the daemon")
        await self.monitor.connect()

    async def hasten(self) -> int:
        raise NotImplementedError

    async def able_to_cut(self) -> bool:
        return True

    async def cut(self, domain: str) -> int:
        return 0

    async def hang_up(self) -> bool:
        return False

    async def awake(self, domain: str) -> bool | None:
        return True


@pytest.fixture
def qemu(tmp_path: Path) -> ScriptedQmp:
    return ScriptedQmp(tmp_path / "qmp", {"migrate-recover": {}, "query-status": {}})


async def test_who_waits_in_line_is_next_when_the_daemon_ends_and_it_comes_after(
    qemu: ScriptedQmp,
) -> None:
    async with qemu:
        daemon = Daemon(qemu)
        await daemon.monitor.connect()
        async with asyncio.timeout(10), borrowed(daemon, "web", "beta") as monitor:
            await monitor.execute("migrate-recover", {"uri": "tcp:192.0.2.2:49215"}, oob=True)
            held_meanwhile = daemon.monitor.connected
        assert daemon.monitor.connected
        assert not held_meanwhile
        await daemon.monitor.execute("query-status")
        await daemon.monitor.close()
    assert qemu.commands[-2:] == ["migrate-recover", "query-status"]


async def test_a_daemon_that_does_not_come_back_is_told(qemu: ScriptedQmp) -> None:
    async with qemu:
        daemon = Daemon(qemu, comes_back=False)
        await daemon.monitor.connect()
        with pytest.raises(UnavailableError, match="does not come back"):
            async with borrowed(daemon, "web", "beta"):
                pass
