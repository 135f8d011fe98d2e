"""What users may call a host, and what they are told about anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.errors import NotFoundError, UsageError
from postcopy.hosts import LocalHost, LocalSpec, NamedSpec, SshSpec, connect, parse


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("local", LocalSpec()),
        ("alpha", NamedSpec("alpha")),
        ("node-1.example.org", NamedSpec("node-1.example.org")),
        ("ssh://h1", SshSpec(name="ssh://h1", host="h1")),
        ("ssh://root@h1:2222/", SshSpec(name="ssh://root@h1:2222", host="h1", user="root",
                                        port=2222)),
        ("ssh://root@[fe80::1]", SshSpec(name="ssh://root@[fe80::1]", host="fe80::1",
                                         user="root")),
    ],
)  # fmt: skip
def test_a_host_is_read(text: str, spec: object) -> None:
    assert parse(text) == spec


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a host"),
        ("-oProxyCommand=x", "is not a host"),
        ("root@h1", "is not a host"),
        ("ssh://", "'' is not a host name"),
        ("ssh://-oProxyCommand=x", "not a host name"),
        ("ssh://ro ot@h1", "not a user's name"),
        ("ssh://h1:70000", "70000|range"),
        ("ssh://root:geheim@h1", "password does not belong"),
        ("ssh://h1/etc/passwd", "more than a user"),
        ("http://h1", "not http"),
    ],
)
def test_what_is_no_host_is_said_to_be_none(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse(text)
    assert caught.value.hint
    assert "geheim" not in str(caught.value)


@given(st.text())
def test_nothing_but_a_usage_error_comes_of_any_text(text: str) -> None:
    for candidate in (text, f"ssh://{text}"):
        try:
            parse(candidate)
        except UsageError:
            continue


def test_a_bare_name_belongs_to_whoever_knows_it() -> None:
    assert connect("alpha", lambda name: LocalHost(f"the lab's {name}")).name == "the lab's alpha"
    with pytest.raises(NotFoundError, match="no host 'gamma'") as caught:
        connect("gamma")
    assert "ssh://gamma" in caught.value.hint
