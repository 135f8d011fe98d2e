"""Ansible inventories, without Ansible."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.errors import NotFoundError, PostcopyError, UsageError
from postcopy.hosts import LocalSpec, SshSpec
from postcopy.hosts.inventory import parse, read

KOLLA = """\
# multinode
[control]
ctl01 ansible_host=10.0.0.11

[compute]
cmp[01:03] ansible_user=kolla
cmp09 ansible_host=10.0.0.29 ansible_port=2222   # the odd one

[baremetal:children]
control
compute

[compute:vars]
ansible_ssh_private_key_file=/root/.ssh/kolla
[all:vars]
ansible_user=root
"""
YAML = """\
all:
  children:
    nova_compute:
      hosts:
        n1: {ansible_host: 10.1.0.1, ansible_user: ubuntu}
        n[2:3]:
    storage:
      hosts: {s1: }
"""
LISTED = json.dumps(
    {
        "_meta": {"hostvars": {"n1": {"ansible_host": "10.1.0.1"}, "here": {
            "ansible_connection": "local"}}},
        "all": {"children": ["ungrouped", "nova_compute"]},
        "nova_compute": {"hosts": ["n1", "here"]},
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "limit", "names"),
    [
        (KOLLA, None, ["cmp01", "cmp02", "cmp03", "cmp09"]),
        (KOLLA, "all", ["ctl01", "cmp01", "cmp02", "cmp03", "cmp09"]),
        (KOLLA, "baremetal,!compute", ["ctl01"]),
        (KOLLA, "baremetal:&cmp0[12]", ["cmp01", "cmp02"]),
        (KOLLA, "cmp0[12]:ctl01", ["cmp01", "cmp02", "ctl01"]),
        (YAML, None, ["n1", "n2", "n3"]),
        (YAML, "storage", ["s1"]),
        (LISTED, None, ["n1", "here"]),
        ("h1\nh2 ansible_host=10.0.0.2\n", None, ["h1", "h2"]),
    ],
)
def test_the_hosts_that_are_meant(text: str, limit: str | None, names: list[str]) -> None:
    assert parse(text).select(limit) == names


def test_how_each_is_reached() -> None:
    kolla = parse(KOLLA)
    key = "/root/.ssh/kolla"
    assert kolla.spec("cmp01") == SshSpec(name="cmp01", host="cmp01", user="kolla", key=key)
    assert kolla.spec("cmp09") == SshSpec(
        name="cmp09", host="10.0.0.29", user="root", port=2222, key=key
    )
    assert kolla.spec("ctl01") == SshSpec(name="ctl01", host="10.0.0.11", user="root")
    assert parse(LISTED).spec("here") == LocalSpec("here")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[compute]\nh1 what is this\n", "line 2 of hosts.ini is no host"),
        ("[compute]\nh1 a='b\n", "line 2 of hosts.ini"),
        ("{ not json", "cannot be read"),
        ("all:\n  - :\n :", "cannot be read"),
        ("- 1\n- 2:\n", "no groups|no host"),
        ("[compute]\nh1 ansible_port=ssh", "ansible_port is 'ssh'"),
        ("[compute]\nh1 ansible_host={{inner}}", "is a template"),
        ("[compute]\nh1 ansible_host=-oProxyCommand=x", "not a host name"),
        ("[compute]\nh[x1:zz]", "no range"),
        ("", "has no hosts"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: None)
    Path("hosts.ini").write_text(text)
    with pytest.raises((UsageError, NotFoundError), match=said):
        asyncio.run(read(Path("hosts.ini")))


async def test_a_pattern_that_means_nothing_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no host of the inventory matches 'kompute'") as caught:
        parse(KOLLA).select("kompute")
    assert "compute" in caught.value.hint
    with pytest.raises(NotFoundError, match="there is no inventory"):
        await read(tmp_path / "nowhere")


async def test_ansible_is_asked_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ansible-inventory"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTED}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "hosts").write_text("[compute]\nanother\n")
    assert [spec.name for spec in await read(tmp_path / "hosts")] == ["n1", "here"]


@given(st.text(max_size=300) | st.text(alphabet="[]:=!&{}#'\"\n a0-", max_size=80))
def test_no_text_is_too_strange(text: str) -> None:
    try:
        inventory = parse(text)
        for name in inventory.select():
            inventory.spec(name)
    except PostcopyError:
        pass
