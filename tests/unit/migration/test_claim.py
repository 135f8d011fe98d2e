import subprocess
import sys
from pathlib import Path

import pytest

from postcopy.errors import RefusedError
from postcopy.migration.claim import claim, holder

HOLD = """
import sys
from pathlib import Path
from postcopy.migration.claim import claim
with claim(Path(sys.argv[1]), "web/1"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_supervisor_a_guest_and_none_left_behind_by_a_killed_one(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert holder(tmp_path, "web/1") == other.pid
        with pytest.raises(RefusedError, match=f"process {other.pid}"), claim(tmp_path, "web/1"):
            pass
        with claim(tmp_path, "web2"):
            pass
        other.kill()
        other.wait()
    assert holder(tmp_path, "web/1") is None
    with claim(tmp_path, "web/1"):
        pass
