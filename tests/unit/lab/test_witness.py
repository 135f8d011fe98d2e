"""The witness itself, run as an ordinary program between two pseudo-terminals."""

import asyncio
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from postcopy.errors import UnavailableError, UsageError
from postcopy.lab.witness import build, kernel_command_line
from postcopy.lab.workload import Workload

HAS_COMPILER = shutil.which("gcc") is not None
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="gcc is not installed")

WORD = 2**64 - 1
STEP = 0x9E3779B97F4A7C15
PAGES_PER_MIB = 256


def first_words(seed: int, index: int) -> bytes:
    """Return the second and third word of a page, worked out apart from the program."""
    value = (seed * STEP + index) & WORD
    for _ in range(2):
        value = (value ^ value >> 32) * 0xD6E8FEB86659FD93 & WORD
    value ^= value >> 32
    return struct.pack("<QQ", (value + STEP) & WORD, (value + 2 * STEP) & WORD)


class Witness:
    """A running witness: what it says, and a hand in its memory."""

    def __init__(self, process: "subprocess.Popen[bytes]", speech: int, commands: int) -> None:
        self.process = process
        self._speech = speech
        self._commands = commands
        self._heard = b""

    def say(self, command: str) -> None:
        os.write(self._commands, command.encode() + b"\n")

    def next_line(self, seconds: float = 20.0) -> str:
        deadline = time.monotonic() + seconds
        while b"\n" not in self._heard:
            left = deadline - time.monotonic()
            assert left > 0, "the witness said nothing"
            if select.select([self._speech], [], [], left)[0]:
                self._heard += os.read(self._speech, 4096)
        line, self._heard = self._heard.split(b"\n", 1)
        return line.decode()

    def wait_for(self, wanted: Callable[[str], object]) -> str:
        deadline = time.monotonic() + 20.0
        while time.monotonic() < deadline:
            if wanted(line := self.next_line()):
                return line
        raise AssertionError("the witness did not say what was waited for")

    def ask(self, command: str, answer: str) -> str:
        self.say(command)
        return self.wait_for(lambda line: line.startswith(answer + " "))

    def beat(self) -> tuple[int, int, int, int]:
        line = self.wait_for(lambda line: line.startswith("H "))
        sequence, uptime_ms, writes, wrong = map(int, line.split()[1:])
        return sequence, uptime_ms, writes, wrong

    def beats(self, count: int) -> list[tuple[int, int, int, int]]:
        return [self.beat() for _ in range(count)]

    def page(self, index: int, seed: int = 1) -> int:
        """Return the address of a page of its memory."""
        wanted = first_words(seed, index)
        with self._memory() as memory:
            for line in Path(f"/proc/{self.process.pid}/maps").read_text().splitlines():
                found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw-p 00000000 00:00 0\s*$", line)
                if found is None:
                    continue
                begin, end = (int(number, 16) for number in found.groups())
                at = os.pread(memory, end - begin, begin).find(wanted)
                if at >= 0:
                    assert (at - 8) % 4096 == 0
                    return begin + at - 8
        raise AssertionError(f"page {index} is nowhere in the witness's memory")

    def read(self, address: int, size: int = 4096) -> bytes:
        with self._memory() as memory:
            return os.pread(memory, size, address)

    def write(self, address: int, content: bytes) -> None:
        with self._memory() as memory:
            assert os.pwrite(memory, content, address) == len(content)

    @contextmanager
    def _memory(self) -> Iterator[int]:
        memory = os.open(f"/proc/{self.process.pid}/mem", os.O_RDWR)
        try:
            yield memory
        finally:
            os.close(memory)


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(build(tmp_path_factory.mktemp("cache")))


@contextmanager
def running(binary: Path, command_line: str) -> Iterator[Witness]:
    speech, speech_end = pty.openpty()
    commands, commands_end = pty.openpty()
    tty.setraw(commands_end)
    lines = [os.ttyname(speech_end), os.ttyname(commands_end)]
    process = subprocess.Popen([str(binary), command_line, *lines], stdin=subprocess.DEVNULL)
    try:
        yield Witness(process, speech, commands)
    finally:
        process.kill()
        process.wait()
        for terminal in (speech, speech_end, commands, commands_end):
            os.close(terminal)


def test_kernel_is_told_the_workload() -> None:
    words = kernel_command_line(Workload(256, 96, 5000, "bursts:30:500", seed=7)).split()

    assert "console=ttyS0" in words
    assert words[-5:] == [
        "witness.cold=256",
        "witness.hot=96",
        "witness.rate=5000",
        "witness.pattern=bursts:30:500",
        "witness.seed=7",
    ]
    assert kernel_command_line(Workload(1, 1), "/dev/vda").split()[-1] == "witness.disk=/dev/vda"
    assert kernel_command_line(Workload(1, 1, writers=4)).split()[-1] == "witness.writers=4"


@pytest.mark.parametrize(
    "pattern", ["", "Random", "bursts", "bursts:0:500", "bursts:101:500", "bursts:30:0"]
)
def test_pattern_of_nonsense_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="pattern"):
        Workload(1, 1, pattern=pattern)


@pytest.mark.parametrize(
    ("cold_mib", "hot_mib", "rate", "seed"),
    [
        (-1, 0, 0, 1),
        (0, -1, 0, 1),
        (2**21, 0, 0, 1),
        (0, 1, -5, 1),
        (0, 1, 10**8, 1),
        (0, 1, 0, -1),
    ],
)
def test_number_of_nonsense_is_refused(cold_mib: int, hot_mib: int, rate: int, seed: int) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        Workload(cold_mib, hot_mib, rate, seed=seed)


def test_guest_gets_room_for_its_kernel_too() -> None:
    assert Workload(0, 0).memory_mib >= 96
    assert Workload(256, 96).memory_mib >= 256 + 96 + 96


async def test_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postcopy.processes.shutil.which", lambda *_, **__: None)

    with pytest.raises(UnavailableError, match="gcc") as error:
        await build(tmp_path / "cache")

    assert "make setup" in error.value.hint


@pytest.mark.parametrize(
    "complaint",
    [
        "/usr/bin/ld: cannot find -lc: No such file or directory",
        "<stdin>:22:10: fatal error: errno.h: No such file or directory",
    ],
)
async def test_missing_library_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaint: str
) -> None:
    compiler = tmp_path / "bin" / "gcc"
    compiler.parent.mkdir()
    compiler.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{complaint}' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{compiler.parent}:/usr/bin:/bin")

    with pytest.raises(UnavailableError, match="libc6-dev") as error:
        await build(tmp_path / "cache")

    assert "make setup" in error.value.hint
    assert os.listdir(tmp_path / "cache") == []  # noqa: PTH208


@needs_compiler
async def test_it_is_built_once(tmp_path: Path) -> None:
    first = await build(tmp_path)
    made = first.stat().st_mtime_ns

    assert await build(tmp_path) == first
    assert first.stat().st_mtime_ns == made
    assert os.listdir(tmp_path) == [first.name]  # noqa: PTH208 - ASYNC240 forbids the other


@needs_compiler
def test_it_beats_writes_and_finds_nothing_wrong(binary: Path) -> None:
    with running(binary, "quiet witness.cold=2 witness.hot=3 panic=-1") as witness:
        assert witness.next_line().startswith("READY cold=2 hot=3 pages=1280 ")
        beats = witness.beats(50)
        verdict = witness.ask("verify", "V")

    assert [beat[0] for beat in beats] == list(range(50))
    assert beats[-1][1] - beats[0][1] >= 49 * 20 - 20
    assert beats[-1][2] > beats[0][2] + 10_000
    assert beats[-1][3] == 0
    assert verdict == "V 1280 0 -1"


@needs_compiler
@pytest.mark.parametrize("pattern", ["random", "sequential", "reads", "bursts:50:100"])
@pytest.mark.parametrize("writers", [1, 3])
def test_every_pattern_keeps_the_memory_right(binary: Path, pattern: str, writers: int) -> None:
    line = f"witness.hot=1 witness.rate=20000 witness.pattern={pattern} witness.writers={writers}"
    with running(binary, line) as witness:
        before, after = witness.beats(40)[0], witness.beat()
        verdict = witness.ask("verify", "V")

    assert after[2] > before[2]
    assert after[3] == 0
    assert verdict == "V 256 0 -1"


@needs_compiler
def test_reading_changes_nothing_and_finds_what_is_wrong(binary: Path) -> None:
    with running(binary, "witness.cold=1 witness.hot=1 witness.pattern=reads") as witness:
        before = witness.beat()
        page = witness.page(300)
        as_it_was = witness.read(page)
        after = witness.beats(10)[-1]
        assert after[2] > before[2]
        assert witness.read(page) == as_it_was

        witness.write(witness.page(17) + 8, bytes(8))
        assert witness.wait_for(lambda line: line.startswith("H ") and line.endswith(" 1"))
        assert witness.read(witness.page(17) + 8, 8) == first_words(1, 17)[:8]


@needs_compiler
def test_several_writers_share_the_rate_and_all_stand_still_to_be_checked(binary: Path) -> None:
    with running(binary, "witness.hot=4 witness.rate=4000 witness.writers=4") as witness:
        beats = witness.beats(60)
        threads = len(list(Path(f"/proc/{witness.process.pid}/task").iterdir()))
        verdicts = {witness.ask("verify", "V") for _ in range(20)}
        moving = witness.beats(10)

    assert threads == 4
    seconds = (beats[-1][1] - beats[0][1]) / 1000
    assert (beats[-1][2] - beats[0][2]) / seconds == pytest.approx(4000, rel=0.2)
    assert verdicts == {"V 1024 0 -1"}
    assert moving[-1][2] > moving[0][2]


@needs_compiler
def test_bursts_rest_between_them(binary: Path) -> None:
    with running(binary, "witness.hot=1 witness.pattern=bursts:50:400") as witness:
        beats = witness.beats(120)

    wrote = [after[2] > before[2] for before, after in pairwise(beats)]
    assert 0.3 < sum(wrote) / len(wrote) < 0.8


@needs_compiler
def test_rate_is_kept_and_can_be_changed(binary: Path) -> None:
    with running(binary, "witness.hot=4 witness.rate=2000") as witness:
        slow = witness.beats(60)
        assert witness.ask("rate 8000", "A") == "A rate 8000"
        fast = witness.beats(60)

    for beats, rate in ((slow, 2000), (fast, 8000)):
        seconds = (beats[-1][1] - beats[0][1]) / 1000
        assert (beats[-1][2] - beats[0][2]) / seconds == pytest.approx(rate, rel=0.2)


@needs_compiler
def test_pause_stops_the_writing_but_not_the_heart(binary: Path) -> None:
    with running(binary, "witness.hot=1") as witness:
        witness.ask("pause", "A")
        still = witness.beats(10)
        witness.ask("resume", "A")
        moving = witness.beats(10)

    assert len({beat[2] for beat in still}) == 1
    assert moving[-1][2] > moving[0][2]


@needs_compiler
@pytest.mark.parametrize(("cold", "hot"), [(0, 0), (1, 0), (0, 1)])
def test_either_kind_of_memory_may_be_none(binary: Path, cold: int, hot: int) -> None:
    with running(binary, f"witness.cold={cold} witness.hot={hot}") as witness:
        beats = witness.beats(5)
        verdict = witness.ask("verify", "V")

    assert (beats[-1][2] > 0) == (hot > 0)
    assert verdict == f"V {(cold + hot) * PAGES_PER_MIB} 0 -1"


@needs_compiler
def test_one_wrong_bit_in_a_cold_page_is_found_and_counted_once(binary: Path) -> None:
    with running(binary, "witness.cold=2 witness.hot=1 witness.seed=9") as witness:
        witness.beat()
        at = witness.page(300, seed=9) + 2345
        witness.write(at, bytes([witness.read(at, 1)[0] ^ 1]))

        assert witness.ask("verify", "V") == "V 768 1 300"
        assert witness.ask("verify", "V") == "V 768 0 -1"


@needs_compiler
def test_cold_pages_that_changed_places_are_found(binary: Path) -> None:
    with running(binary, "witness.cold=2") as witness:
        witness.beat()
        witness.write(witness.page(17), witness.read(witness.page(18)))

        assert witness.ask("verify", "V") == "V 512 1 17"


@needs_compiler
def test_stale_hot_page_is_found_when_it_is_rewritten(binary: Path) -> None:
    with running(binary, "witness.cold=1 witness.hot=1") as witness:
        witness.ask("pause", "A")
        at = witness.page(256 + 40)
        stale = witness.read(at)
        witness.ask("resume", "A")
        witness.beats(10)
        witness.ask("pause", "A")
        assert witness.read(at) != stale
        witness.write(at, stale)
        witness.ask("resume", "A")
        wrong = witness.beats(20)[-1][3]

        assert wrong == 1
        assert witness.ask("verify", "V") == "V 512 0 -1"


@needs_compiler
@pytest.mark.parametrize("half", [slice(0, 2048), slice(2048, 4096)])
def test_torn_hot_page_is_found(binary: Path, half: slice) -> None:
    with running(binary, "witness.hot=1") as witness:
        witness.ask("pause", "A")
        at = witness.page(99)
        older = witness.read(at)
        witness.ask("resume", "A")
        witness.beats(10)
        witness.ask("pause", "A")
        witness.write(at + half.start, older[half])

        assert witness.ask("verify", "V") == "V 256 1 99"


@needs_compiler
@pytest.mark.parametrize(
    "parameter",
    [
        "witness.cold=-1",
        "witness.hot=many",
        "witness.hot",
        "witness.rate=99999999999999999999999",
        "witness.pattern=zigzag",
        "witness.pattern=bursts:30",
        "witness.pattern=bursts:0:500",
        "witness.colour=3",
    ],
)
def test_bad_parameter_is_named_and_ends_it(binary: Path, parameter: str) -> None:
    with running(binary, f"quiet {parameter}") as witness:
        assert witness.next_line() == f"E bad parameter {parameter}"
        assert witness.process.wait(10) == 1


@needs_compiler
def test_too_little_memory_is_said_instead_of_dying_of_it(binary: Path) -> None:
    with running(binary, "witness.cold=1048576") as witness:
        assert re.fullmatch(r"E 1048576 MiB wanted, \d+ MiB free", witness.next_line())


@needs_compiler
def test_command_of_nonsense_is_answered_and_harmless(binary: Path) -> None:
    with running(binary, "witness.hot=1") as witness:
        assert witness.ask("dance", "N") == "N dance"
        assert witness.ask("rate -1", "N") == "N rate -1"
        witness.say("x" * 500)
        assert witness.ask("verify", "V") == "V 256 0 -1"


@needs_compiler
def test_port_that_nobody_reads_stops_nothing_and_splits_no_line(binary: Path) -> None:
    nonsense = "x" * 60
    with running(binary, "witness.hot=1") as witness:
        before = witness.beat()
        for _ in range(3000):
            witness.say(nonsense)
        time.sleep(1.5)
        lines = [witness.next_line()]
        while not (lines[-1].startswith("H ") and int(lines[-1].split()[1]) > before[0] + 60):
            lines.append(witness.next_line())

    assert all(re.fullmatch(rf"H \d+ \d+ \d+ 0|N {nonsense}", line) for line in lines)
    assert lines.count(f"N {nonsense}") < 3000
    assert int(lines[-1].split()[3]) > before[2]


BLOCKS = 700
"""No multiple of what the witness checks at once."""


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(os.urandom(BLOCKS * 4096))
    return path


def disk_verdict(witness: Witness) -> tuple[int, int]:
    """Return how many blocks were checked, and how many were ever wrong."""
    words = witness.ask("verify", "V").split()
    assert words[1:4] == ["256", "0", "-1"]
    checked, wrong = map(int, words[4:])
    return checked, wrong


def quiet(witness: Witness) -> None:
    """Stop the writing; once a verdict has come, nothing is under way any more."""
    witness.ask("pause", "A")
    witness.ask("verify", "V")


def alter(disk: Path, at: int, content: bytes) -> None:
    with disk.open("r+b") as file:
        file.seek(at)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def counters(disk: Path) -> list[int]:
    """Return the counter in each sector, having checked all else against the rule in disk.h."""
    found, content, seed = [], disk.read_bytes(), ~1 & WORD
    for sector in range(len(content) // 512):
        words = struct.unpack_from("<64Q", content, sector * 512)
        value = ((seed ^ (sector << 32 | words[0])) * STEP) & WORD
        assert words[63] == value ^ value >> 29
        assert struct.pack("<QQ", *words[1:3]) == first_words(seed, sector)
        found.append(words[0])
    return found


def written(witness: Witness, disk: Path) -> list[int]:
    """Let it work until a block was rewritten; return where that block's sectors begin."""
    before = disk.read_bytes()
    while True:
        witness.ask("resume", "A")
        quiet(witness)
        now = disk.read_bytes()
        if found := [at for at in range(0, len(now), 512) if now[at] != before[at]]:
            return found[:8]


@needs_compiler
def test_disk_is_filled_and_rewritten_and_right(binary: Path, disk: Path) -> None:
    with running(binary, f"witness.hot=1 witness.disk={disk}") as witness:
        quiet(witness)
        first, *others = written(witness, disk)
        assert first % 4096 == 0
        assert others == list(range(first + 512, first + 4096, 512))
        assert counters(disk)[first // 512] > 0
        assert disk_verdict(witness) == (BLOCKS, 0)


@needs_compiler
def test_damage_to_one_sector_is_found_counted_and_made_right(binary: Path, disk: Path) -> None:
    with running(binary, f"witness.hot=1 witness.disk={disk}") as witness:
        quiet(witness)
        alter(disk, 5 * 4096 + 3 * 512 + 100, b"damage")
        alter(disk, 699 * 4096, bytes(4096))
        assert disk_verdict(witness) == (BLOCKS, 2)
        assert disk_verdict(witness) == (BLOCKS, 2)
        counters(disk)


@needs_compiler
def test_sector_that_missed_a_write_is_found(binary: Path, disk: Path) -> None:
    with running(binary, f"witness.hot=1 witness.disk={disk}") as witness:
        quiet(witness)
        before = disk.read_bytes()
        inner = written(witness, disk)[4]
        alter(disk, inner, before[inner : inner + 512])
        assert disk_verdict(witness) == (BLOCKS, 1)


@needs_compiler
def test_damage_is_found_while_working_too(binary: Path, disk: Path) -> None:
    disk.write_bytes(bytes(4096))
    with running(binary, f"witness.hot=1 witness.disk={disk}") as witness:
        quiet(witness)
        alter(disk, 0, bytes(4096))
        written(witness, disk)
        assert disk_verdict(witness) == (1, 1)


@needs_compiler
@pytest.mark.parametrize(
    ("content", "said"), [(None, "E disk .*: No such file or directory"), (b"", "E a disk of that")]
)
def test_disk_that_is_none_is_told(
    binary: Path, tmp_path: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "disk").write_bytes(content)
    with running(binary, f"witness.disk={tmp_path / 'disk'}") as witness:
        assert re.match(said, witness.next_line())
        assert witness.process.wait(10) == 1
