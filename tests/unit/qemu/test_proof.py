"""The guest that proves: what is in it, and what a QEMU that says odd things comes to."""

import shutil
import subprocess
from pathlib import Path

import pytest

from postcopy.qemu import proof


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_the_program_is_its_source_assembled(tmp_path: Path) -> None:
    source = Path(proof.__file__).with_name("proof.S")
    binary = tmp_path / "proof.bin"
    subprocess.run(
        ["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none",
         "-Wl,--oformat=binary,-Ttext=0xfe00", "-o", binary, source],
        check=True,
    )  # fmt: skip
    assert binary.read_bytes() == proof.PROGRAM


def test_an_image_has_the_program_where_a_processor_begins() -> None:
    image = proof.image(512, 3)
    assert len(image) == proof.IMAGE_BYTES
    assert image[-512:-504] == (512).to_bytes(4, "little") + (3).to_bytes(4, "little")
    # 16 bytes below the end: a near jump
    assert image[-16] in (0xE9, 0xEB)


def fake(tmp_path: Path, script: str) -> str:
    path = tmp_path / "qemu"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'no such machine' >&2; exit 1", "no such machine"),
        ("exit 0", "without a word"),
        ("echo garbage", "Expecting value"),
        ("echo 3; echo 4", "says"),
    ],
)
def test_a_qemu_that_makes_no_sense_is_told_of(script: str, said: str, tmp_path: Path) -> None:
    told = proof.migrate_here(fake(tmp_path, script), str(tmp_path))
    assert said in told["error"]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("exit 99", None),
        ("exit 0", "QEMU ended with 0"),
        ("echo 'no KVM here' >&2; exit 1", "no KVM here"),
    ],
)
def test_a_guest_is_booted_only_if_it_says_so_itself(
    script: str, error: str | None, tmp_path: Path
) -> None:
    assert proof.boot_kvm(fake(tmp_path, script), str(tmp_path)).get("error") == error


def test_a_guest_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_KVM_SECONDS", 0.05)
    told = proof.boot_kvm(fake(tmp_path, "exec sleep 600"), str(tmp_path))
    assert told["hung"] is True
    assert "was not done within" in told["error"]
