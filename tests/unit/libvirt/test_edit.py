"""Settings of libvirt's files are changed in place, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.libvirt.readiness.edit import Value, format_value, set_values

QEMU_CONF = """\
# The user for QEMU processes run by the system instance.
#
#user = "libvirt-qemu"

  dynamic_ownership = 1   # for shared storage
#cgroup_device_acl = [
#    "/dev/null", "/dev/full",
#    "/dev/kvm"
#]
#
cgroup_controllers = [ "cpu",
    # not memory
    "devices" ]
#seccomp_sandbox = 1
"""


def test_a_setting_is_changed_where_it_stands_and_its_comment_stays() -> None:
    changed = set_values(QEMU_CONF, {"dynamic_ownership": 0})
    assert "  dynamic_ownership = 0   # for shared storage\n" in changed
    assert changed.replace("= 0   #", "= 1   #") == QEMU_CONF


def test_a_new_setting_stands_behind_the_comment_that_shows_it() -> None:
    changed = set_values(
        QEMU_CONF, {"user": "root", "cgroup_device_acl": ("/dev/null", "/dev/kvm")}
    )
    assert '#user = "libvirt-qemu"\nuser = "root"\n\n' in changed
    assert '#]\ncgroup_device_acl = [ "/dev/null", "/dev/kvm" ]\n#\ncgroup_cont' in changed


def test_one_that_is_nowhere_is_written_at_the_end() -> None:
    assert set_values('a = "b"', {"c": 1}) == 'a = "b"\nc = 1\n'
    assert set_values("", {"c": "x"}) == 'c = "x"\n'


def test_lists_over_several_lines_are_changed_whole() -> None:
    changed = set_values(QEMU_CONF, {"cgroup_controllers": ()})
    assert "cgroup_controllers = [ ]\n#seccomp" in changed


def test_what_is_as_wanted_is_not_touched() -> None:
    wanted: dict[str, Value] = {"cgroup_controllers": ("cpu", "devices"), "dynamic_ownership": 1}
    assert set_values(QEMU_CONF, wanted) == QEMU_CONF


def test_what_stands_there_twice_is_changed_twice() -> None:
    assert set_values("a = 1\na=2\n", {"a": 3}) == "a = 3\na=3\n"


def test_a_setting_is_taken_out_by_making_it_a_comment() -> None:
    assert set_values('a = [ "x",\n  "y" ]\nb = 1\n', {"a": None}) == (
        '#a = [ "x",\n#  "y" ]\nb = 1\n'
    )
    assert set_values("b = 1\n", {"a": None}) == "b = 1\n"


def test_a_text_of_several_lines_holds_no_settings() -> None:
    text = 'x = """\na = 1\n"""\n'
    assert set_values(text, {"a": 2}) == text + "a = 2\n"


def test_a_key_is_not_mistaken_for_another_that_ends_like_it() -> None:
    assert set_values("max_user = 1\nuser_x = 2\n", {"user": 3}).startswith(
        "max_user = 1\nuser_x = 2\n"
    )


values = st.one_of(
    st.integers(0, 9999),
    st.from_regex(r"[a-z/:.-]{0,12}", fullmatch=True),
    st.lists(st.from_regex(r"[a-z/]{1,9}", fullmatch=True), max_size=20).map(tuple),
)


@given(values, values)
def test_what_is_set_is_what_is_there_and_setting_it_again_changes_nothing(
    first: int | str | tuple[str, ...], second: int | str | tuple[str, ...]
) -> None:
    once = set_values(QEMU_CONF, {"new": first})
    assert set_values(once, {"new": first}) == once
    assert set_values(once, {"new": second}) == set_values(QEMU_CONF, {"new": second})


@given(st.text(max_size=80), values)
def test_any_text_can_be_edited(text: str, value: int | str | tuple[str, ...]) -> None:
    assert format_value(value) in set_values(text, {"k": value})


def test_what_libvirt_cannot_read_is_not_written() -> None:
    with pytest.raises(ValueError, match="cannot read"):
        format_value('"""')
