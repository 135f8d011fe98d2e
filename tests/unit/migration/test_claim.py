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
with claim(Path(sys.argv[1]), "web/1", sys.argv[2] if len(sys.argv) > 2 else None):
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


UUID, ANOTHER = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b811-9dad-11d1-80b4-00c04fd430c8"


def test_guests_of_one_name_on_different_hosts_are_different_guests(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), UUID],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with claim(tmp_path, "web/1", ANOTHER):
            assert holder(tmp_path, "web/1", ANOTHER) is not None
        assert holder(tmp_path, "web/1", UUID) == other.pid
        assert holder(tmp_path, "web/1", ANOTHER) is None
        assert holder(tmp_path, "web/1") == other.pid
        # The same guest, and one who does not say which of them is meant, are refused.
        for of in (UUID, None):
            with (
                pytest.raises(RefusedError, match=f"process {other.pid}"),
                claim(tmp_path, "web/1", of),
            ):
                pass
        other.kill()
        other.wait()
    with claim(tmp_path, "web/1"), pytest.raises(RefusedError), claim(tmp_path, "web/1", UUID):
        pass
