"""userfaultfd, for real: page faults are taken here."""

import os
from pathlib import Path

import pytest

from postcopy.kernel import userfaultfd
from postcopy.kernel.userfaultfd import MODES, prove
from postcopy.probe import child
from postcopy.probe.account import Account

NOBODY = Account("nobody", 65534, 65534, "a test")


def test_faults_of_each_mode_are_resolved_and_timed() -> None:
    told = child.call(lambda: prove(50))
    if told.get("user-mode-only") == "ENOSYS":
        pytest.skip("this kernel has no userfaultfd")
    assert told["modes"] == dict.fromkeys(MODES, "")
    assert told["latency"]["count"] == 50
    assert 0 < told["latency"]["p50"] <= told["latency"]["p99"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_root_may_says_nothing_about_others() -> None:
    told = child.call(lambda: prove(1), NOBODY)
    assert told["uid"] == NOBODY.uid
    permitted = Path("/proc/sys/vm/unprivileged_userfaultfd").read_text().strip() == "1"
    assert told["syscall"] == ("" if permitted else "EPERM")


def test_a_fault_that_is_answered_wrongly_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong() -> dict[str, object]:
        monkeypatch.setattr(userfaultfd, "_MARK", b"POSTCOPY")
        genuine = userfaultfd._serve

        def serve(one: userfaultfd.Userfaultfd, mode: str, parent: int) -> int:
            userfaultfd._MARK = b"postcopy"
            return genuine(one, mode, parent)

        monkeypatch.setattr(userfaultfd, "_serve", serve)
        return prove(1)

    told = child.call(wrong)
    assert told["modes"]["missing"] == "the page that came is not the one that was sent"
