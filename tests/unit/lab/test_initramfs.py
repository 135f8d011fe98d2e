import lzma
import shutil
import stat
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.errors import UsageError
from postcopy.lab.initramfs import (
    CharacterDevice,
    Directory,
    Entry,
    File,
    build_initramfs,
    write_archive,
)

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40
).filter(lambda name: name not in (".", "..", "TRAILER!!!"))
PERMISSIONS = st.integers(0, 0o777)
ENTRIES = st.lists(
    st.one_of(
        st.builds(Directory, NAMES, PERMISSIONS),
        st.builds(File, NAMES, st.binary(max_size=70), PERMISSIONS),
        st.builds(
            CharacterDevice, NAMES, st.integers(0, 4095), st.integers(0, 2**20 - 1), PERMISSIONS
        ),
    ),
    max_size=6,
)


class Unpacked(NamedTuple):
    header: dict[str, int]
    name: str
    content: bytes


FIELDS = [
    *("ino", "mode", "uid", "gid", "nlink", "mtime", "filesize"),
    *("devmajor", "devminor", "rdevmajor", "rdevminor", "namesize", "check"),
]


def unpack(archive: bytes) -> list[Unpacked]:
    """Read an archive as the kernel's description of the format says, and insist on it."""
    found, at = [], 0
    while at < len(archive):
        assert at % 4 == 0
        assert archive[at : at + 6] == b"070701"
        digits = archive[at + 6 : at + 110]
        header = {field: int(digits[8 * n : 8 * n + 8], 16) for n, field in enumerate(FIELDS)}
        name = archive[at + 110 : at + 110 + header["namesize"]]
        assert name.endswith(b"\0")
        at += 110 + header["namesize"]
        at += -at % 4
        content = archive[at : at + header["filesize"]]
        assert len(content) == header["filesize"]
        at += header["filesize"]
        assert not any(archive[at : at + -at % 4])
        at += -at % 4
        found.append(Unpacked(header, name[:-1].decode(), content))
    assert found.pop().name == "TRAILER!!!"
    return found


@given(ENTRIES)
def test_every_entry_comes_back_as_it_went_in(entries: list[Entry]) -> None:
    unpacked = unpack(write_archive(entries))

    assert [found.name for found in unpacked] == [entry.name for entry in entries]
    for found, entry in zip(unpacked, entries, strict=True):
        mode = found.header["mode"]
        assert stat.S_IMODE(mode) == entry.permissions
        match entry:
            case Directory():
                assert stat.S_ISDIR(mode)
            case File():
                assert stat.S_ISREG(mode)
                assert found.content == entry.content
            case CharacterDevice():
                assert stat.S_ISCHR(mode)
                assert found.header["rdevmajor"] == entry.major
                assert found.header["rdevminor"] == entry.minor


@given(ENTRIES)
def test_archive_depends_on_its_entries_alone(entries: list[Entry]) -> None:
    archive = write_archive(entries)

    assert archive == write_archive(entries)
    for found in unpack(archive):
        assert (found.header["mtime"], found.header["uid"], found.header["gid"]) == (0, 0, 0)


@given(ENTRIES)
def test_no_two_entries_look_like_links_to_one_file(entries: list[Entry]) -> None:
    inodes = [found.header["ino"] for found in unpack(write_archive(entries))]

    assert len(set(inodes)) == len(inodes)


def test_initramfs_has_what_the_kernel_needs_to_start_init(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF and more")

    unpacked = {found.name: found for found in unpack(build_initramfs(program))}

    assert set(unpacked) == {"init", "dev", "dev/console", "proc", "sys"}
    assert unpacked["init"].content == b"\x7fELF and more"
    assert unpacked["init"].header["mode"] == stat.S_IFREG | 0o755
    console = unpacked["dev/console"].header
    assert (console["rdevmajor"], console["rdevminor"]) == (5, 1)


def test_drivers_lie_in_the_root_uncompressed(tmp_path: Path) -> None:
    for name in ("program", "plain.ko"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "packed.ko.xz").write_bytes(lzma.compress(b"\x7fELF"))
    (tmp_path / "other.ko.zst").write_bytes(b"")
    drivers = [tmp_path / "packed.ko.xz", tmp_path / "plain.ko"]

    unpacked = {
        found.name: found for found in unpack(build_initramfs(tmp_path / "program", drivers))
    }

    assert unpacked["packed.ko"].content == b"\x7fELF"
    assert unpacked["plain.ko"].content == b"plain.ko"
    with pytest.raises(UsageError, match=r"other\.ko\.zst"):
        build_initramfs(tmp_path / "program", [tmp_path / "other.ko.zst"])


@pytest.mark.parametrize("name", ["", "/init", "a\0b", "TRAILER!!!"])
def test_name_that_the_format_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        write_archive([File(name, b"")])


@pytest.mark.skipif(shutil.which("cpio") is None, reason="the cpio program is not installed")
def test_cpio_reads_it(tmp_path: Path) -> None:
    archive = write_archive([Directory("sub"), File("sub/note", b"hello", 0o640)])

    subprocess.run(
        ["cpio", "--extract", "--quiet"], input=archive, cwd=tmp_path, check=True, timeout=10
    )

    assert (tmp_path / "sub/note").read_bytes() == b"hello"
    assert stat.S_IMODE((tmp_path / "sub/note").stat().st_mode) == 0o640
