"""How this project's tests are spread over processes, tried on tests that do nothing."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from ..spread import TOGETHER

CONFTEST = """
from tests.spread import Spread, longest_first

def pytest_collection_modifyitems(items):
    longest_first(items)

def pytest_xdist_make_scheduler(config, log):
    return Spread(config, log)
"""
TESTS = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_nothing(number):
    pass
"""
RAN = re.compile(r"^\[(gw\d)\].* PASSED (\S+)::", re.MULTILINE)


def test_what_shares_a_lab_runs_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    files = ["tests/unit/test_a.py", "tests/unit/test_b.py", "tests/lab/test_other.py"]
    for place in TOGETHER:
        files += [f"{place}test_{x}.py" for x in "ab"] if place.endswith("/") else [place]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(TESTS)
    program = Path(sys.executable).with_name("pytest")
    done = subprocess.run(
        [program, "-v", "-n", "2", "-p", "no:asyncio", "-p", "no:cacheprovider"],
        cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr

    ran = RAN.findall(done.stdout)
    assert len(ran) == 4 * len(files)
    processes = defaultdict(set)
    for process, file in ran:
        processes[next((place for place in TOGETHER if file.startswith(place)), "")].add(process)
    assert {place: len(processes[place]) for place in TOGETHER} == dict.fromkeys(TOGETHER, 1)
    assert {process for process, _ in ran} == {"gw0", "gw1"}
