"""Nothing secret leaves a host, and what matters does so unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.nova.configuration import Configuration
from postcopy.nova.options import OPTIONS, blank, find

SECRET = "hunter2"

SECRETS = [
    "[DEFAULT]\ntransport_url = rabbit://nova:hunter2@mq:5672/\n",
    "[database]\nconnection: mysql+pymysql://nova:hunter2@db/nova\n",
    "[keystone_authtoken]\npassword=hunter2\nusername = nova\n",
    "[neutron]\nmetadata_proxy_shared_secret = hunter2\n",
    "[DEFAULT]\n# transport_url = rabbit://nova:hunter2@mq/\n",
    "[DEFAULT]\n;password=hunter2\n",
    "[vmware]\nhost_password =\n  hunter2\n",
    "[x]\npassword = a,\n\thunter2\n\n  hunter2\n",
    "hunter2\n",
    "[hunter2=hunter2\npassword hunter2\n",
    "[libvirt]\nlive_migration_uri = qemu+tcp://root:hunter2@%s/system\n",
    "[libvirt]\nvirt_type = kvm\rpassword = hunter2\n",
    "[libvirt]\nvirt_type = kvm\n \rpassword = hunter2\n",
    "[libvirt]\nvirt_type = kvm\n\n hunter2\n",
    "[other]\nvirt_type = hunter2\n",
    "[default]\nhost = hunter2\n",
    "= hunter2\n",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_does_not_leave_its_host(text: str) -> None:
    told = blank(text).replace("[hunter2", "[")  # a section's name is none
    assert SECRET not in told
    assert told.count("\n") == text.count("\n")


def test_what_matters_leaves_it_unchanged() -> None:
    text = "[libvirt]\nvirt_type=kvm  \ncpu_models = a,\n   b\n\n[DEFAULT]\nmy_ip: 10.0.0.1\n"
    assert blank(text) == text


names = st.sampled_from([f"{option.name}" for option in OPTIONS] + ["password", "connection", ""])
lines = st.one_of(
    st.sampled_from(["[libvirt]", "[DEFAULT]", "[database]", "", "# x", " continued", "]", "["]),
    st.builds(
        lambda name, sep, value: f"{name}{sep}{value}",
        names,
        st.sampled_from(["=", " = ", ": ", " "]),
        st.text(max_size=12),
    ),
    st.text(max_size=20),
)
texts = st.lists(lines, max_size=12).map("\n".join)


@given(texts)
def test_blanking_twice_changes_nothing_more_and_lines_stay(text: str) -> None:
    told = blank(text)
    assert blank(told) == told
    assert told.count("\n") == text.count("\n")


@given(texts)
def test_a_blanked_file_means_what_the_file_meant(text: str) -> None:
    # What a carriage return hides is cut off, and logins in URIs are; all else must be the same.
    text = text.replace("\r", "").replace("@", "")
    before, after = (Configuration.read([("/f", one)]) for one in (text, blank(text)))
    assert [(one.option, one.line, one.text) for one in before.settings] == [
        (one.option, one.line, one.text) for one in after.settings
    ]
    assert [one.line for one in before.problems] == [one.line for one in after.problems]


def test_an_older_name_is_the_same_option() -> None:
    assert find("libvirt", "cpu_model") is find("LIBVIRT", "cpu_models")
    assert find("default", "host") is None
