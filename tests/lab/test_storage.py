"""Domains with disks, by post-copy between libvirt hosts: shared, copied whole, copied on top."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from postcopy.lab.lab import Lab
from postcopy.migration import Phase

from .commands import data, postcopy, spawn
from .conftest import LAB, RATE, soon
from .test_libvirt import wait_for

pytestmark = pytest.mark.lab

GUEST = "stored"
# So much that a second pass takes longer than the stop of 300 ms that QEMU allows itself.
SIZES = ("--cold", "16", "--hot", "64")
PAGES = (16 + 64) * 256
DISK_MIB = 32
BLOCKS = DISK_MIB * 256
IMAGES = "/var/lib/libvirt/images"
SLOW = 12_500_000


class Stored:
    """A domain with a disk, and the two hosts."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        hosts = data("lab", "status", "--lab", LAB)["hosts"]
        self.uris: dict[str, dict[str, str]] = {host["name"]: host["uris"] for host in hosts}

    def link(self, rate: int) -> None:
        asyncio.run(self.lab.link().set_rate(rate))

    def boot(self, *more: str) -> None:
        disk = ("--disk", str(DISK_MIB))
        postcopy("lab", "guest", GUEST, "--lab", LAB, "--host", "alpha", *SIZES, *disk, *more)

    def inside(self, host: str, *command: str) -> str:
        done = asyncio.run(self.lab.host(host).run(*command))
        return done.stdout.strip()

    def migrate(self, *more: str) -> tuple[str, ...]:
        return ("migrate", GUEST, "beta", "--lab", LAB, *more)

    def assert_whole(self, host: str, name: str = GUEST) -> None:
        """Check that it runs there alone, memory and disk intact, and is there after a reboot."""

        def states() -> object:
            guests = data("lab", "status", "--lab", LAB)["guests"]
            return {one["name"]: one["states"] for one in guests}[GUEST]

        soon(states, {host: "running"})
        verdict = data("lab", "guest", GUEST, "--lab", LAB, "--verify")
        assert (verdict["pages_checked"], verdict["pages_wrong"]) == (PAGES, 0)
        assert (verdict["disk_blocks_checked"], verdict["disk_blocks_wrong"]) == (BLOCKS, 0)
        info = self.inside(host, "virsh", "dominfo", name)
        assert re.search(r"Persistent:\s+yes", info)

    def forget_images(self, host: str) -> None:
        self.inside(host, "sh", "-c", f"rm -f {IMAGES}/{GUEST}.*")


@pytest.fixture
def stored(moves_lab: Lab) -> Iterator[Stored]:
    asyncio.run(moves_lab.up())
    made = Stored(moves_lab)
    made.link(RATE)
    yield made
    made.link(RATE)
    postcopy("lab", "guest", GUEST, "--lab", LAB, "--stop")


def wait_until_told(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if words in line:
            return
    raise AssertionError(f"{words!r} was never said:\n{''.join(seen)}")


def switched(outcome: dict[str, object]) -> bool:
    return outcome["fate"] == "completed" and outcome["switched_at"] is not None


def test_shared_storage(stored: Stored) -> None:
    stored.boot("--shared")
    assert switched(data(*stored.migrate("--policy", "after-first-pass")))
    stored.assert_whole("beta")


def test_disks_copied_whole(stored: Stored) -> None:
    """Not without being told to; with it, libvirt makes the image in the destination's pool."""
    stored.boot()
    refused = postcopy(*stored.migrate(), code=65)
    assert "--copy-storage-all" in refused.stderr
    stored.inside("beta", "virsh", "pool-destroy", "default")
    refused = postcopy(*stored.migrate("--copy-storage-all"), code=65)
    assert "qemu-img create" in refused.stderr
    stored.inside("beta", "virsh", "pool-start", "default")
    named = stored.migrate("--copy-storage-all", "--migrate-disks", "vda")
    assert switched(data(*named, "--policy", "after-first-pass"))
    stored.forget_images("alpha")
    stored.assert_whole("beta")


def test_disks_copied_on_top_of_what_is_there(stored: Stored) -> None:
    stored.boot()
    assert "backing image" in postcopy(*stored.migrate("--copy-storage-inc"), code=65).stderr
    base, top = f"{IMAGES}/{GUEST}.qcow2", f"{IMAGES}/{GUEST}.top"
    options = ("--disk-only", "--no-metadata", "--diskspec", f"vda,file={top}")
    stored.inside("alpha", "virsh", "snapshot-create-as", GUEST, "now", *options)
    stored.inside("alpha", "cp", base, f"/mnt/shared/{GUEST}.base")
    stored.inside("beta", "mv", f"/mnt/shared/{GUEST}.base", base)
    backing = ("-b", base, "-F", "qcow2")
    stored.inside("beta", "qemu-img", "create", "-q", "-f", "qcow2", *backing, top)
    outcome = data(*stored.migrate("--copy-storage-inc", "--policy", "immediate"))
    assert switched(outcome)
    stored.forget_images("alpha")
    stored.assert_whole("beta")
    chain = stored.inside("beta", "qemu-img", "info", "-U", top)
    assert f"backing file: {base}" in chain


def test_a_switch_waits_until_the_disks_are_copied(stored: Stored) -> None:
    """Neither an eager policy nor a user's word reaches QEMU before memory moves."""
    stored.boot()
    stored.link(SLOW)
    synchronous = ("--copy-storage-all", "--copy-storage-synchronous-writes")
    with spawn(*stored.migrate(*synchronous, "--policy", "precopy")) as process:
        wait_until_told(process, "copying disks")
        assert "goes on at" in postcopy("cancel", GUEST).stdout
        assert process.wait(30) == 1
    stored.assert_whole("alpha")
    with spawn(*stored.migrate(*synchronous, "--policy", "after-first-pass")) as process:
        wait_until_told(process, "copying disks")
        assert "as soon as its memory moves" in postcopy("switch", GUEST).stdout
        stored.link(RATE)
        assert process.wait(60) == 0, process.communicate()
    [run, *_] = data("history", GUEST)
    assert switched(run["outcome"])
    events = data("history", "--run", str(run["id"]))["events"]
    assert not [event for event in events if "not accepted" in event["text"]]
    stored.forget_images("alpha")
    stored.assert_whole("beta")


def test_a_guest_that_arrives_under_another_name_is_still_found(
    stored: Stored, tmp_path: Path
) -> None:
    stored.boot("--shared")
    stored.link(SLOW)
    definition = tmp_path / "there.xml"
    text = stored.inside("alpha", "virsh", "dumpxml", "--migratable", GUEST)
    definition.write_text(text.replace("<devices>", "<description>moved</description><devices>"))
    renamed = ("--dname", "renamed", "--xml", str(definition))
    with spawn(*stored.migrate(*renamed, "--policy", "adaptive")) as process:
        wait_for(Phase.PRECOPY, process)
        process.kill()
    with spawn("switch", GUEST) as process:
        assert process.wait(60) == 0, process.communicate()
    assert "moved" in stored.inside("beta", "virsh", "desc", "renamed")
    stored.assert_whole("beta", "renamed")
