"""The cached root: what makes it valid, and what stands in the way of building one."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from postcopy import processes
from postcopy.errors import NotFoundError, UnavailableError
from postcopy.lab import bootstrap, releases, root

TRIXIE = releases.RELEASES["trixie"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSTCOPY_CACHE_DIR", str(tmp_path))
    return tmp_path


class Usage(NamedTuple):
    free: int


def place_root(cache: Path, recipe: str) -> None:
    place = cache / "roots/trixie"
    (place / "root").mkdir(parents=True)
    (place / "manifest.json").write_text(
        json.dumps(
            {
                "recipe": recipe,
                "qemu_version": "1:10.0",
                "kernel_version": "6.12",
                "libvirt_version": "11.3",
            }
        )
    )


def test_an_unknown_release_is_named_with_those_there_are() -> None:
    with pytest.raises(NotFoundError, match="potato") as caught:
        releases.release("potato")
    assert "trixie" in caught.value.hint


def test_an_empty_cache_has_no_root() -> None:
    assert root.find(TRIXIE) is None


def test_a_root_of_todays_recipe_is_found(cache: Path) -> None:
    place_root(cache, bootstrap.recipe(TRIXIE))
    found = root.find(TRIXIE)
    assert found is not None
    assert found.directory == cache / "roots/trixie/root"
    assert found.kernel == cache / "roots/trixie/vmlinuz"
    assert found.qemu_version == "1:10.0"


def test_a_root_of_another_recipe_is_not(cache: Path) -> None:
    more = replace(TRIXIE, packages=(*TRIXIE.packages, "nftables"))
    place_root(cache, bootstrap.recipe(more))
    assert root.find(TRIXIE) is None
    assert root.find(more) is not None


def test_what_a_killed_build_left_is_swept_away(cache: Path) -> None:
    place_root(cache, bootstrap.recipe(TRIXIE))
    for name in (".trixie.building", ".trixie.old0-123"):
        (cache / "roots" / name / "root/etc").mkdir(parents=True)
    asyncio.run(root.sweep())
    assert [path.name for path in (cache / "roots").iterdir()] == ["trixie"]


def test_missing_keys_are_named_before_anything_is_fetched(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyrings = cache / "keyrings"
    keyrings.mkdir()
    (keyrings / "debian-archive-bookworm-stable.gpg").touch()
    (keyrings / "debian-archive-keyring.gpg").touch()
    monkeypatch.setattr(bootstrap, "_KEYRINGS", keyrings)
    monkeypatch.setattr(processes, "program", lambda name: name)
    with pytest.raises(UnavailableError, match="keys of Debian trixie") as caught:
        bootstrap.check_machine(TRIXIE, cache)
    assert "debian-archive-keyring" in caught.value.hint


def test_a_full_disk_is_told_before_it_is_full(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyrings = cache / "keyrings"
    keyrings.mkdir()
    (keyrings / "debian-archive-trixie-automatic.gpg").touch()
    monkeypatch.setattr(bootstrap, "_KEYRINGS", keyrings)
    monkeypatch.setattr(processes, "program", lambda name: name)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**8))
    with pytest.raises(UnavailableError, match="100 MB left") as caught:
        bootstrap.check_machine(TRIXIE, cache)
    assert "POSTCOPY_CACHE_DIR" in caught.value.hint


@pytest.mark.parametrize(
    ("stderr", "hint"),
    [
        ("E: Failed to fetch http://x/InRelease  Could not resolve 'x'", "network"),
        ("W: GPG error: NO_PUBKEY 6ED0E7B82643E131\nE: not signed", "debian-archive-keyring"),
        ("E: Release file for http://x/InRelease is expired", "POSTCOPY_STALE_MIRROR"),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "free some space"),
    ],
)
def test_what_mmdebstrap_says_becomes_a_hint(stderr: str, hint: str) -> None:
    error = processes.CommandError(["mmdebstrap"], 25, stderr)
    assert hint in bootstrap._explained(TRIXIE, error).hint
