"""What a witness boots from, as it is put into Glance."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from postcopy.lab.openstack import images
from postcopy.lab.workload import Workload


class FakeGlance:
    """Keeps what is put into it."""

    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}

    def create_image(self, name: str, **fields: Any) -> SimpleNamespace:
        self.made[name] = fields
        return SimpleNamespace(id=f"id-of-{name}")

    def images(self, name: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(id=f"id-of-{name}")] if name in self.made else []


def test_a_kernel_is_not_taken_for_a_disk_with_partitions(tmp_path: Path) -> None:
    """Nova's inspection goes by the last two bytes of the first sector."""
    kernel, initramfs = tmp_path / "vmlinuz", tmp_path / "initramfs"
    content = bytes(range(256)) + bytes(254) + b"\x55\xaa" + b"..HdrS" + bytes(512)
    kernel.write_bytes(content)
    initramfs.write_bytes(b"070701")
    glance = FakeGlance()
    cloud = SimpleNamespace(image=glance)
    for server in ("one", "two"):
        images.create_image(cloud, server, Workload(8, 8), kernel, initramfs)
    by_kind = {fields["disk_format"]: fields["data"] for fields in glance.made.values()}
    assert by_kind["aki"] == content[:510] + bytes(2) + content[512:]
    assert by_kind["ari"] == b"070701"
    assert len(glance.made) == 4  # kernel and initramfs are everybody's
