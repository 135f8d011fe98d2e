"""What mends libvirt, from facts to changes: pure, and readable before it is done."""

import datetime
import json
from collections.abc import Sequence
from typing import Any

import pytest

from postcopy import pki
from postcopy.libvirt.readiness import LibvirtFacts
from postcopy.libvirt.readiness.fixes import FIXES, Issuer, Peers
from postcopy.libvirt.readiness.fixes.network import hosts_file
from postcopy.readiness import (
    Change,
    Command,
    Evidence,
    Facts,
    FileChange,
    Files,
    HostSubject,
    MissingFacts,
    Restart,
)

BY_ID = {fix.id: fix for fix in FIXES}
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def facts(
    qemu: str = "", libvirtd: str = "", ip: Sequence[str] = ("10.0.0.1",), **more: Any
) -> LibvirtFacts:
    def file(text: str) -> dict[str, object]:
        return {"text": text, "mode": 0o644, "uid": 0, "gid": 0}

    addresses = "".join(f"2: eth0 inet {one}/24 scope global\n" for one in ("127.0.0.1", *ip))
    commands = {"addresses": {"argv": ["ip"], "code": 0, "out": addresses}}
    commands |= more.pop("commands", {})
    return LibvirtFacts.of(
        Evidence(
            {
                "files": {
                    "/etc/libvirt/qemu.conf": file(qemu),
                    "/etc/libvirt/libvirtd.conf": file(libvirtd),
                    **more.pop("files", {}),
                },
                "commands": commands,
                "hostname": "alpha",
                "now": NOW.timestamp(),
                **more,
            }
        )
    )


def plan(id_: str, known: LibvirtFacts, *brought: object, **texts: str | None) -> list[Change]:
    fix = BY_ID[id_]
    held: dict[str, str | None] = dict.fromkeys(fix.reads)
    held |= {path: text for path, text in texts.items() if path in held}
    return list(fix.plan(HostSubject("alpha", Facts([known, Files(held), *brought]))))


def edited(id_: str, before: str, path: str = "/etc/libvirt/qemu.conf", **more: Any) -> str:
    known = facts(**({"qemu": before} if "qemu" in path else {"libvirtd": before}), **more)
    change, restart = plan(id_, known, **{path: before})
    assert isinstance(change, FileChange)
    assert isinstance(restart, Restart)
    assert (change.path, change.before) == (path, before)
    return change.after or ""


@pytest.mark.parametrize(
    ("id_", "before", "after"),
    [
        ("libvirt.qemu.seccomp", "seccomp_sandbox = 0\n", "#seccomp_sandbox = 0\n"),
        ("libvirt.daemon.keepalive", "keepalive_count = 0\n", "#keepalive_count = 0\n"),
        (
            "libvirt.migration.ports",
            "migration_port_min = 5\nmigration_port_max = 5\n",
            "#migration_port_min = 5\n#migration_port_max = 5\n",
        ),
        (
            "libvirt.migration.address",
            'migration_address = "127.0.0.1"\n',
            '#migration_address = "127.0.0.1"\n',
        ),
        (
            "libvirt.migration.host",
            'migration_host = "localhost"\n',
            'migration_host = "10.0.0.1"\n',
        ),
        (
            "libvirt.qemu.devices",
            'cgroup_device_acl = [ "/dev/null" ]\n',
            'cgroup_device_acl = [ "/dev/null", "/dev/userfaultfd" ]\n',
        ),
        ("libvirt.qemu.user", 'user = "nobody-here"\n', '#user = "nobody-here"\n'),
    ],
)
def test_a_setting_is_mended_and_the_daemon_restarted(id_: str, before: str, after: str) -> None:
    assert edited(id_, f"# mine\n{before}", ip=("10.0.0.1",)).startswith(f"# mine\n{after}")


def test_a_host_gets_a_uuid_of_its_own_and_always_the_same() -> None:
    path = "/etc/libvirt/libvirtd.conf"
    once = edited("libvirt.daemon.uuid", "", path)
    assert once == edited("libvirt.daemon.uuid", "", path)
    assert once != edited("libvirt.daemon.uuid", "", path, ip=("10.0.0.2",))


def test_a_file_that_makes_no_sense_is_not_edited() -> None:
    broken = "seccomp_sandbox = = 0\n"
    with pytest.raises(MissingFacts, match=r"qemu\.conf: line 1 makes no sense"):
        plan("libvirt.qemu.seccomp", facts(qemu=broken), **{"/etc/libvirt/qemu.conf": broken})


def test_nobody_guesses_which_of_two_addresses_migrations_use() -> None:
    with pytest.raises(MissingFacts, match=r"10\.0\.0\.1, 10\.9\.0\.1"):
        plan(
            "libvirt.migration.hostname",
            facts(ip=("10.0.0.1", "10.9.0.1")),
            **{"/etc/hosts": "127.0.1.1 alpha\n"},
        )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("127.0.1.1 alpha\n", "10.0.0.1\talpha\n"),
        ("127.0.0.1 localhost alpha # mine\n", "127.0.0.1\tlocalhost # mine\n10.0.0.1\talpha\n"),
        ("127.0.1.1 alpha\n10.0.0.1 alpha a\n", "10.0.0.1 alpha a\n"),
        ("# 127.0.1.1 alpha\n::1 alpha beta", "# 127.0.1.1 alpha\n::1\tbeta\n10.0.0.1\talpha\n"),
        ("", "10.0.0.1\talpha\n"),
    ],
)
def test_a_name_moves_from_loopback_to_its_address(before: str, after: str) -> None:
    assert hosts_file(before, "alpha", "10.0.0.1") == after
    assert hosts_file(after, "alpha", "10.0.0.1") == after


def test_peers_are_added_and_others_kept() -> None:
    [change] = plan(
        "libvirt.pair.names",
        facts(),
        Peers({"beta.example": "10.0.0.2"}),
        **{"/etc/hosts": "127.0.0.1 localhost\n"},
    )
    assert isinstance(change, FileChange)
    assert change.after == "127.0.0.1 localhost\n10.0.0.2\tbeta.example beta\n"


# --- the packet filter -------------------------------------------------------------------------


def ruleset(table: str = "filter", policy: str = "drop") -> dict[str, object]:
    chain = {
        "family": "inet", "table": table, "name": "input", "type": "filter",
        "hook": "input", "prio": 0, "policy": policy,
    }  # fmt: skip
    return {
        "nft": {"argv": ["nft"], "code": 0, "out": json.dumps({"nftables": [{"chain": chain}]})}
    }


def test_migrations_are_let_in_now_and_after_a_boot() -> None:
    hook = "\t\ttype filter hook input priority 0; policy drop;\n"
    conf = f"table inet filter {{\n\tchain input {{\n{hook}\t}}\n}}\n"
    file, command = plan(
        "libvirt.firewall", facts(commands=ruleset()), **{"/etc/nftables.conf": conf}
    )
    assert isinstance(file, FileChange)
    assert isinstance(command, Command)
    assert "policy drop;\n\t\ttcp dport 49152-49215 accept" in (file.after or "")
    assert "nft 'insert rule inet filter input tcp dport 49152-49215 accept" in command.argv[2]
    assert "delete rule inet filter input" in command.undo[2]


def test_firewalld_is_asked_and_not_gone_behind() -> None:
    commands = plan("libvirt.firewall", facts(commands=ruleset("firewalld")))
    assert [c.argv[0] for c in commands if isinstance(c, Command)] == ["firewall-cmd"] * 2


def test_an_open_filter_is_left_alone() -> None:
    assert plan("libvirt.firewall", facts(commands=ruleset(policy="accept"))) == []


# --- certificates ------------------------------------------------------------------------------


def issuer(authority: pki.Authority) -> Issuer:
    return Issuer(
        lambda name, dns, addresses: authority.issue(name, NOW, dns=dns, addresses=addresses),
        lambda: authority.certificate,
    )


def test_a_host_without_certificates_gets_a_set_and_its_keys_are_secret() -> None:
    changes = plan("libvirt.tls.certificates", facts(), issuer(pki.Authority.create("a", NOW)))
    files = [one for one in changes if isinstance(one, FileChange)]
    keys = [one for one in files if "key" in one.path]
    assert len(files) == 5
    assert len(keys) == 2
    assert all(one.secret and one.mode == 0o600 for one in keys)
    assert not any("PRIVATE" in (one.after or "") for one in files if not one.secret)
    [certificate] = [one for one in files if one.path.endswith("servercert.pem")]
    assert "alpha, 10.0.0.1" in certificate.why
    assert isinstance(changes[-1], Restart)


def test_qemu_can_read_its_key_and_no_daemon_is_restarted() -> None:
    known = facts(
        qemu='user = "libvirt-qemu"\n',
        commands={
            "user libvirt-qemu": {"argv": [], "code": 0, "out": "libvirt-qemu:x:64055:64055::/:\n"}
        },
    )
    changes = plan(
        "libvirt.migration-tls.certificates", known, issuer(pki.Authority.create("a", NOW))
    )
    assert {one.owner for one in changes if isinstance(one, FileChange) and one.secret} == {
        "libvirt-qemu"
    }
    assert not any(isinstance(one, Restart) for one in changes)


def test_another_authority_is_not_replaced() -> None:
    theirs = pki.Authority.create("theirs", NOW).certificate.decode()
    with pytest.raises(MissingFacts, match="--authority"):
        plan(
            "libvirt.tls.certificates",
            facts(),
            issuer(pki.Authority.create("ours", NOW)),
            **{"/etc/pki/CA/cacert.pem": theirs},
        )


def test_a_key_that_anybody_reads_is_closed_and_opened_again_by_undo() -> None:
    key = "/etc/pki/libvirt/private/serverkey.pem"
    known = facts(files={key: {"mode": 0o644, "uid": 0, "gid": 0}})
    [command] = plan("libvirt.tls.keys", known)
    assert isinstance(command, Command)
    assert command.argv == ("chmod", "0600", key)
    assert command.undo == ("chmod", "0644", key)


# --- services ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "service"),
    [("active\ninactive\n", "libvirtd"), ("inactive\nactive\n", "virtqemud")],
)
def test_the_daemon_that_runs_qemu_is_restarted(units: str, service: str) -> None:
    known = facts(
        qemu="seccomp_sandbox = 0\n", commands={"units": {"argv": [], "code": 3, "out": units}}
    )
    [_, restart] = plan(
        "libvirt.qemu.seccomp", known, **{"/etc/libvirt/qemu.conf": "seccomp_sandbox = 0\n"}
    )
    assert isinstance(restart, Restart)
    assert restart.service == f"{service}.service"


def test_systemd_listens_where_there_is_systemd() -> None:
    units = {"units": {"argv": [], "code": 0, "out": "active\ninactive\n"}}
    command, restart = plan("libvirt.listen", facts(commands=units))
    assert isinstance(command, Command)
    assert command.argv == ("systemctl", "enable", "libvirtd-tls.socket")
    assert isinstance(restart, Restart)
    [change, _] = plan("libvirt.listen", facts())
    assert isinstance(change, FileChange)
    assert change.after == "listen_tls = 1\n"
