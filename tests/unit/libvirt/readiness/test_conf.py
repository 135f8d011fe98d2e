"""libvirt's configuration files."""

from hypothesis import given
from hypothesis import strategies as st

from postcopy.libvirt.readiness.conf import Conf

TEXT = """\
# a comment
#user = "libvirt-qemu"
#group = "kvm"
listen_tls = 0
tls_port = "16514"   # with a comment behind it
migration_host = 'beta'
cgroup_device_acl = [
    "/dev/null", # one
    "/dev/full",
]
namespaces = [ ]
keepalive_interval = -1
keepalive_interval = 7
log_filters = "1:qemu \
1:libvirt"
"""


def test_what_libvirt_reads_is_read() -> None:
    conf = Conf.parse(TEXT)
    assert conf.number("listen_tls", 1) == 0
    assert conf.number("tls_port", 1) == 16514
    assert conf.text("migration_host") == "beta"
    assert conf.words("cgroup_device_acl") == ("/dev/null", "/dev/full")
    assert conf.words("namespaces") == ()
    assert conf.words("nothing") is None
    assert conf.number("keepalive_interval", 5) == 7
    assert conf.suggested == {"user": "libvirt-qemu", "group": "kvm"}
    assert conf.bad_lines == ()


def test_a_line_that_makes_no_sense_is_told_and_hides_no_other() -> None:
    conf = Conf.parse('user = root\nlisten_tcp = 1\nfoo = [ "a", 3 ]\n= 4\nbar = "open\n')
    assert conf.bad_lines == (1, 3, 4, 5)
    assert conf.values == {"listen_tcp": 1}


def test_a_number_is_no_text() -> None:
    conf = Conf.parse('migration_host = 3\nlisten_tls = "yes"')
    assert conf.text("migration_host", "none") == "none"
    assert conf.number("listen_tls", 1) == 1
    assert conf.words("migration_host") is None


@given(st.text(st.sampled_from('ab_=[]",\'#\n 0-9"')) | st.text())
def test_nothing_is_too_strange(text: str) -> None:
    conf = Conf.parse(text)
    assert all(line >= 1 for line in conf.bad_lines)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), st.integers(-999, 999)))
def test_numbers_come_back(values: dict[str, int]) -> None:
    text = "".join(f"{key} = {value}\n" for key, value in values.items())
    assert Conf.parse(text).values == values
