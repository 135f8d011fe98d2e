"""Servers in guests, as far as that is pure."""

from pathlib import Path, PurePosixPath

import pytest

from postcopy.errors import NotFoundError
from postcopy.lab.initramfs import Directory, File
from postcopy.lab.machine import GuestSpec, qemu_arguments
from postcopy.lab.services import image
from postcopy.lab.services.service import SERVICES, TAP, find_service
from postcopy.lab.workload import Workload

INSIDE = PurePosixPath("/run/postcopy")
MIB = 1 << 20


def arguments(spec: GuestSpec) -> str:
    return " ".join(qemu_arguments(spec, INSIDE / "k", INSIDE / "i", INSIDE / "g", incoming=False))


def test_a_guest_with_a_server_has_a_link_an_address_and_room() -> None:
    plain = GuestSpec(name="g", workload=Workload(16, 0))
    served = GuestSpec(
        name="g",
        workload=Workload(16, 0),
        service="redis",
        data_bytes=64 * MIB,
        address="198.19.0.100/24",
    )

    assert "netdev" not in arguments(plain)
    assert f"ifname={TAP}," in arguments(served)
    assert "witness.run=/serve address=198.19.0.100/24" in arguments(served)
    assert served.memory_mib - plain.memory_mib >= 64 * 1.4
    assert GuestSpec.from_dict(served.to_dict()) == served


def test_an_unknown_server_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="mysql") as error:
        find_service("mysql")

    assert "redis" in error.value.hint


async def test_an_image_has_what_ldd_names_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, modules = tmp_path / "root", tmp_path / "modules"
    for name in (
        *("usr/bin/redis-server", "usr/bin/vi", "usr/bin/busybox"),
        *("lib/libc.so.6", "lib64/ld.so", "etc/passwd", "etc/group"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    modules.mkdir()
    (modules / "virtio_net.ko").write_bytes(b"driver")

    async def ldd(root: Path, *command: str) -> str:
        assert command == ("ldd", "/usr/bin/redis-server")
        return (
            "/usr/bin/redis-server:\n\tlinux-vdso.so.1 (0x7ffe)\n"
            "\tlibc.so.6 => /lib/libc.so.6 (0x7f11)\n\t/lib64/ld.so (0x7f12)\n"
        )

    monkeypatch.setattr(image, "_inside", ldd)

    entries = await image._entries(SERVICES["redis"], root, modules)

    names = [entry.name for entry in entries]
    files = {entry.name for entry in entries if isinstance(entry, File)}
    assert files == {
        *("usr/bin/redis-server", "bin/busybox", "serve", "virtio_net.ko"),
        *("lib/libc.so.6", "lib64/ld.so", "etc/passwd", "etc/group"),
    }
    for entry in entries:
        parent = entry.name.rpartition("/")[0]
        assert not parent or names.index(parent) < names.index(entry.name)
    assert all(isinstance(entry, Directory | File) for entry in entries)
    [serve] = [entry for entry in entries if entry.name == "serve"]
    assert isinstance(serve, File)
    assert b'ip addr add "$address" dev eth0' in serve.content
    assert serve.permissions == 0o755
