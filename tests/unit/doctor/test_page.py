from pathlib import Path

from postcopy.doctor import all_checks
from postcopy.doctor.page import page


def test_the_page_about_the_checks_is_current() -> None:
    path = Path(__file__).parents[3] / "docs" / "checks.md"
    assert path.read_text() == page(), "run: make checks-page"


def test_the_page_names_every_check() -> None:
    text = page()
    assert all(f"### `{check.id}`\n" in text for check in all_checks())
