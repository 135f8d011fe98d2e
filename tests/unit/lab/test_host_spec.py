"""What a host is made of, as it is handed to its first process."""

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from postcopy.lab import init, tethered
from postcopy.lab.init import HostSpec, overlay_options


@given(st.text(), st.dictionaries(st.text(), st.text()), st.booleans())
def test_a_spec_survives_the_pipe(text: str, hosts: dict[str, str], kvm: bool) -> None:
    spec = HostSpec(text, text, text, text, text, text, hosts, kvm)
    assert HostSpec.from_json(spec.to_json()) == spec


def test_what_separates_mount_options_is_escaped_in_paths() -> None:
    options = overlay_options(Path("/a,b"), Path("/c:d"), Path("/e\\f"))
    assert options == r"lowerdir=/a\,b,upperdir=/c\:d,workdir=/e\\f"


def test_the_first_process_needs_nothing_but_the_standard_library() -> None:
    for file in (init.__file__, tethered.__file__):
        code = f"import runpy; runpy.run_path({file!r}, run_name='looked at')"
        source = str(Path(file or "").parents[2])
        imported = f"import sys; sys.path.insert(0, {source!r}); {code}"
        subprocess.run([sys.executable, "-I", "-S", "-c", imported], check=True, timeout=20)


def test_a_spec_that_cannot_be_met_is_told_and_not_thrown(tmp_path: Path) -> None:
    here = str(tmp_path)
    spec = HostSpec("alpha", str(tmp_path / "none"), "/", here, here, here, {})
    result = subprocess.run(
        [sys.executable, "-I", "-S", init.__file__],
        input=spec.to_json(),
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert result.returncode == 1
    assert '"error": "joining the network namespace' in result.stdout
    assert result.stderr == ""
