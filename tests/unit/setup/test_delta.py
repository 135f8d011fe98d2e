"""Edits are exact both ways, whatever the text, and several of them make one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.setup.delta import ConflictError, Delta, merge

texts = st.lists(st.sampled_from(["a\n", "b\n", "\n", "# c\r\n", "d\x0ce\x1d\n", "last"])).map(
    "".join
)


@given(texts, texts)
def test_an_edit_goes_forth_and_back_to_the_very_text(before: str, after: str) -> None:
    delta = Delta.between(before, after)
    assert delta.apply(before) == after
    assert delta.reversed().apply(after) == before
    assert Delta.from_list(delta.to_list()) == delta


@given(texts)
def test_what_does_not_change_is_not_kept(text: str) -> None:
    assert Delta.between(text, text).to_list() == []


def test_only_changed_lines_are_kept() -> None:
    delta = Delta.between("password = secret\nport = 1\n", "password = secret\nport = 2\n")
    assert "secret" not in str(delta.to_list())


def test_another_text_is_not_edited() -> None:
    with pytest.raises(ConflictError):
        Delta.between("a\nb\n", "a\nc\n").apply("a\nx\n")


def test_edits_of_different_lines_are_merged_and_insertions_keep_their_order() -> None:
    before = "one\ntwo\nthree\n"
    merged = merge(before, ["ONE\ntwo\nthree\n", "one\ntwo\nthree\nx\n", "one\ntwo\nthree\ny\n"])
    assert merged == "ONE\ntwo\nthree\nx\ny\n"


def test_two_edits_of_one_line_are_a_conflict() -> None:
    with pytest.raises(ConflictError, match="line 1"):
        merge("one\n", ["two\n", "three\n"])
    assert merge("one\n", ["two\n", "two\n"]) == "two\n"
