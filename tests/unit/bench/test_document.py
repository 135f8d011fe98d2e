"""Results in a document: those on record, and no others."""

from pathlib import Path

import pytest

from postcopy.bench.document import main
from postcopy.bench.record import Record
from postcopy.bench.suite import find_suite

from .runs import measured

DOCUMENT = """# Figures

<!-- results: quick -->
of yesterday
<!-- end -->

Between.

<!-- results: peers -->
of others
<!-- end -->
"""


def test_what_is_on_record_takes_the_place_of_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTCOPY_STATE_DIR", str(tmp_path / "state"))
    record = Record(tmp_path / "state" / "bench" / "quick.jsonl", find_suite("quick").to_dict())
    for repeat in range(3):
        record.add(measured("adaptive", repeat, 5.0, 0.5))
        record.add(measured("precopy", repeat, 5.0, 1.5))
    document = tmp_path / "figures.md"
    document.write_text(DOCUMENT)

    assert main([str(document)]) == 0
    assert main([str(document)]) == 0  # a second time changes nothing

    text = document.read_text()
    assert "of yesterday" not in text
    assert text.count("| `precopy` | 2.00 |") == 1
    assert "--repeats 3" in text
    assert "of others" in text
    assert "\n\nBetween.\n\n" in text
    assert (tmp_path / "images" / "bench-quick.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_document_it_says_so_by_its_exit_code() -> None:
    assert main([]) == 64
