"""What is written for configuration management: loaded as that tool would, and what it sets."""

import configparser
import re

import pytest
import yaml

from postcopy.readiness import Command, FileChange, Restart
from postcopy.setup import Plan
from postcopy.setup.emit import emit

NOVA = "[DEFAULT]\ntransport_url = rabbit://u:hunter2@mq\n\n[libvirt]\nvirt_type = kvm\n"


def change(path: str, before: str | None, after: str | None, secret: bool = False) -> FileChange:
    return FileChange(path=path, before=before, after=after, why="it is so", secret=secret)


def plan(host: str, address: str) -> Plan:
    return Plan(
        host=host,
        files=(
            change(
                "/etc/sysctl.d/60-postcopy.conf", None, "# why\nvm.unprivileged_userfaultfd = 1\n"
            ),
            change("/etc/udev/rules.d/60-postcopy.rules", None, 'KERNEL=="userfaultfd"\n'),
            change(
                "/etc/libvirt/qemu.conf",
                '# seccomp_sandbox = 1\nseccomp_sandbox = 0\nuser = "root"\n',
                f'# seccomp_sandbox = 1\n#seccomp_sandbox = 0\nuser = "root"\n'
                f'migration_host = "{address}"\n',
            ),
            change("/etc/hosts", f"127.0.1.1 {host}\n::1 ip6\n", f"{address}\t{host}\n::1 ip6\n"),
            change(
                "/etc/nova/nova.conf",
                NOVA,
                NOVA + "live_migration_permit_post_copy = true\n"
                f"live_migration_inbound_addr = {address}\n",
            ),
            change("/etc/pki/qemu/server-key.pem", None, "PRIVATE hunter2", secret=True),
        ),
        commands=(Command(argv=("chown", "qemu", "/dev/userfaultfd"), why="now too"),),
        restarts=(Restart(service="libvirtd.service", why="it reads qemu.conf"),),
    )


PLANS = [plan("n1", "10.0.0.1"), plan("n2", "10.0.0.2")]


@pytest.mark.parametrize("kind", ["kolla", "osa", "ansible", "diff"])
def test_no_secret_is_written_anywhere(kind: str) -> None:
    assert "hunter2" not in "".join(emit(kind, PLANS).values())


@pytest.mark.parametrize("kind", ["kolla", "osa", "ansible", "diff"])
def test_nothing_to_do_is_nothing_to_write(kind: str) -> None:
    assert emit(kind, [Plan(host="n1")]) == {}


def ini(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    return parser


def test_kolla_gets_nova_s_options_where_it_merges_them() -> None:
    files = emit("kolla", PLANS)
    common = ini(files["config/nova/nova-compute.conf"])
    assert dict(common["libvirt"]) == {"live_migration_permit_post_copy": "true"}
    own = ini(files["config/nova/n2/nova.conf"])
    assert dict(own["libvirt"]) == {"live_migration_inbound_addr": "10.0.0.2"}
    assert "n1: /etc/libvirt/qemu.conf: migration_host" in files["globals.d/postcopy.yml"]
    assert yaml.safe_load(files["globals.d/postcopy.yml"]) is None
    paths = str(yaml.safe_load(files["postcopy-hosts.yml"]))
    assert "/etc/udev/rules.d" in paths
    assert "/etc/libvirt" not in paths
    assert "/etc/nova" not in paths


def test_openstack_ansible_gets_its_own_variables() -> None:
    files = emit("osa", PLANS)
    group = yaml.safe_load(files["group_vars/nova_compute.yml"])
    assert group == {
        "nova_nova_conf_overrides": {"libvirt": {"live_migration_permit_post_copy": "true"}},
        "openstack_user_kernel_options": [{"key": "vm.unprivileged_userfaultfd", "value": "1"}],
    }
    host = yaml.safe_load(files["host_vars/n1.yml"])
    assert host["nova_nova_conf_overrides"]["libvirt"] == {
        "live_migration_permit_post_copy": "true",
        "live_migration_inbound_addr": "10.0.0.1",
    }
    plays = yaml.safe_load(files["playbooks/postcopy-hosts.yml"])
    assert "sysctl.d" not in str(plays)
    assert "/etc/libvirt/qemu.conf" in str(plays)


def test_a_playbook_edits_single_lines_and_restarts_last() -> None:
    [play, _] = yaml.safe_load(emit("ansible", PLANS)["postcopy.yml"])
    assert play["hosts"] == "n1"
    lines = [
        task["ansible.builtin.lineinfile"]
        for task in play["tasks"]
        if "ansible.builtin.lineinfile" in task
    ]
    qemu = [line for line in lines if line["path"] == "/etc/libvirt/qemu.conf"]
    assert {line.get("line") for line in qemu} == {'migration_host = "10.0.0.1"', None}
    nova = [line for line in lines if line["path"] == "/etc/nova/nova.conf"]
    assert {line["insertafter"] for line in nova} == {r"^\[libvirt\]"}
    assert [one["name"] for one in play["handlers"]] == ["Restart libvirtd.service"]
    modules = {key for task in play["tasks"] for key in task if "." in key}
    assert all(module.startswith("ansible.builtin.") for module in modules)


def test_a_host_behind_ssh_has_its_inventory_s_name() -> None:
    files = emit("ansible", [plan("ssh://root@n7.example:2222", "10.0.0.7")])
    [play] = yaml.safe_load(files["postcopy.yml"])
    assert play["hosts"] == "n7.example"
    assert list(emit("diff", [plan("ssh://root@n7", "10.0.0.7")])) == ["ssh---root-n7.diff"]


FLAGS = (
    "[libvirt]\nvirt_type = kvm\nlive_migration_flag = VIR_MIGRATE_LIVE,\n"
    "    VIR_MIGRATE_POSTCOPY\n\nlive_migration_uri = qemu+tcp://%s/system\n"
)


def test_an_option_goes_with_all_its_lines() -> None:
    """What is left of it would go on the value of the option before."""
    after = "[libvirt]\nvirt_type = kvm\n\nlive_migration_uri = qemu+tcp://%s/system\n"
    taken_out = Plan(host="n1", files=(change("/etc/nova/nova.conf", FLAGS, after),))
    [play] = yaml.safe_load(emit("ansible", [taken_out])["postcopy.yml"])
    [task] = play["tasks"]
    edit = task["ansible.builtin.replace"]
    assert re.sub(edit["regexp"], edit["replace"], FLAGS, flags=re.MULTILINE) == after


def test_an_address_is_of_one_host_also_where_there_is_only_one() -> None:
    files = emit("kolla", PLANS[:1])
    assert "inbound_addr" not in files["config/nova/nova-compute.conf"]
    assert "inbound_addr = 10.0.0.1" in files["config/nova/n1/nova.conf"]
    osa = emit("osa", PLANS[:1])
    assert "inbound_addr" not in osa["group_vars/nova_compute.yml"]
    assert "inbound_addr" in osa["host_vars/n1.yml"]


@pytest.mark.parametrize("kind", ["kolla", "osa"])
def test_an_override_empties_what_cannot_be_taken_out(kind: str) -> None:
    path = "/etc/kolla/nova-compute/nova.conf"
    plan = Plan(host="n1", files=(change(path, FLAGS, "[libvirt]\nvirt_type = kvm\n"),))
    text = "".join(emit(kind, [plan]).values())
    assert re.search(r"live_migration_uri( =|: '')$", text, re.MULTILINE)
    assert "live_migration_flag" not in text
