"""Ways to break a host, one at a time, and what a check must say of each: all of it, and no more.

A fault is a shell script that runs on the host; what needs certificates is made by the lab's own
authority. Where nothing mends it, set-up must leave it alone.
"""

from dataclasses import dataclass

__all__ = ["FAULTS", "PAIR_FAULTS", "Fault", "HEALTHY", "AS_QEMU"]

HEALTHY = """
set -e
mkdir -p /etc/nova
printf '#!/bin/sh\\n' > /usr/bin/nova-compute
chmod 0755 /usr/bin/nova-compute
cat > /etc/nova/nova.conf <<'END'
[DEFAULT]
# The password is not anybody's business.
transport_url = rabbit://nova:hunter2@mq.example
compute_driver = libvirt.LibvirtDriver
my_ip = ADDRESS
update_resources_interval = 600

[libvirt]
virt_type = qemu
cpu_mode = none
live_migration_permit_post_copy = true
live_migration_timeout_action = force_complete
live_migration_completion_timeout = 15
live_migration_inbound_addr = ADDRESS
live_migration_scheme = tls
END
chmod 0640 /etc/nova/nova.conf
"""
"""Nova in a host that has only its configuration: as much of it as checks look at."""

_QEMU = "/etc/libvirt/qemu.conf"
_DAEMON = "/etc/libvirt/libvirtd.conf"
_NOVA = "/etc/nova/nova.conf"
AS_QEMU = (
    f"sed -i 's/^user = .*/user = \"libvirt-qemu\"/' {_QEMU}\n"
    "chown libvirt-qemu /etc/pki/qemu/*-key.pem\n"
)
_PERMITTED = (
    "mkdir -p /etc/udev/rules.d\nchown libvirt-qemu /dev/userfaultfd\n"
    'echo \'KERNEL=="userfaultfd", OWNER="libvirt-qemu"\' > /etc/udev/rules.d/50-uffd.rules\n'
)
_RESTART = (
    "kill $(cat /run/libvirtd.pid); while pidof libvirtd >/dev/null; do sleep 0.05; done\n"
    "/usr/sbin/libvirtd --daemon --listen --pid-file /run/libvirtd.pid\n"
    "until virsh -c qemu:///system version >/dev/null 2>&1; do sleep 0.05; done\n"
)


def _set(path: str, *lines: str) -> str:
    """Return a script that puts settings into a file in place of what it has."""
    script = ""
    for line in lines:
        key = line.split(" = ")[0]
        script += f"sed -i '/^{key} *=/d' {path}\necho '{line}' >> {path}\n"
    return script


def _nova(option: str, value: str, section: str = "libvirt") -> str:
    return (
        f"sed -i '/^{option} *=/d' {_NOVA}\n"
        f"sed -i 's|^\\[{section}\\]|[{section}]\\n{option} = {value}|' {_NOVA}\n"
    )


@dataclass(frozen=True)
class Fault:
    """One way to break a host.

    :ivar script: what breaks it.
    :ivar checks: the ids of all checks that must find fault then, and did not before.
    :ivar mends: whether set-up mends it.
    :ivar peer: what is done on the other host.
    :ivar certificate: what is issued for the host first: names, and days that it is good for.
    """

    name: str
    script: str
    checks: frozenset[str]
    mends: bool = True
    peer: str = ""
    certificate: tuple[tuple[str, ...], int] | None = None
    stranger: bool = False

    def __str__(self) -> str:
        return self.name


def _fault(name: str, script: str, *checks: str, mends: bool = True, **more: object) -> Fault:
    return Fault(name, script, frozenset(checks), mends, **more)  # type: ignore[arg-type]


_INSTALL = "cp /run/postcopy/fault/cert.pem {0}\ncp /run/postcopy/fault/key.pem {1}\n"
_DAEMON_CERTIFICATE = _INSTALL.format(
    "/etc/pki/libvirt/servercert.pem", "/etc/pki/libvirt/private/serverkey.pem"
)
_QEMU_CERTIFICATE = _INSTALL.format("/etc/pki/qemu/server-cert.pem", "/etc/pki/qemu/server-key.pem")
_NFT = "nft add table inet fault\nnft 'add chain inet fault in {{ {0} }}'\n{1}\n"
_HOOK = "type filter hook input priority 0; policy accept;"

FAULTS = (
    # Who may have page faults.
    _fault(
        "userfaultfd-closed-to-qemu",
        AS_QEMU,
        "kernel.userfaultfd.permitted",
    ),
    _fault(
        "userfaultfd-not-in-device-list",
        AS_QEMU
        + _PERMITTED
        + _set(_QEMU, 'cgroup_device_acl = [ "/dev/null" ]', 'namespaces = [ "mount" ]'),
        "libvirt.qemu.userfaultfd",
    ),
    _fault("cut-noticed-too-late", "sysctl -qw net.ipv4.tcp_retries2=15", "kernel.network.retries"),
    # QEMU and libvirt's daemon.
    _fault(
        "qemu-user-missing",
        AS_QEMU + _PERMITTED + f"sed -i 's/^user = .*/user = \"nobody-here\"/' {_QEMU}",
        "libvirt.qemu.user",
    ),
    _fault("sandbox-off", _set(_QEMU, "seccomp_sandbox = 0"), "libvirt.qemu.seccomp"),
    _fault(
        "dead-peers-never-noticed",
        _set(_QEMU, "keepalive_interval = -1"),
        "libvirt.daemon.keepalive",
    ),
    _fault(
        "one-call-at-a-time", _set(_DAEMON, "max_client_requests = 1"), "libvirt.daemon.requests"
    ),
    _fault("libvirtd-stopped", "kill $(cat /run/libvirtd.pid)", "libvirt.daemon.running"),
    _fault(
        "uuid-of-the-board",
        _set(_DAEMON, 'host_uuid = "03000200-0400-0500-0006-000700080009"') + _RESTART,
        "libvirt.daemon.uuid",
    ),
    _fault(
        "qemu-conf-makes-no-sense",
        f"echo 'seccomp_sandbox = = 1' >> {_QEMU}",
        "libvirt.daemon.config",
        mends=False,
    ),
    # How it is reached.
    _fault(
        "nothing-listens",
        _set(_DAEMON, "listen_tls = 0", "listen_tcp = 0")
        + "kill $(cat /run/sshd.pid)\n"
        + _RESTART,
        "libvirt.listen.remote",
    ),
    _fault(
        "migration-address-is-loopback",
        _set(_QEMU, 'migration_address = "127.0.0.1"'),
        "libvirt.migration.address",
    ),
    _fault(
        "migration-address-is-another-host-s",
        _set(_QEMU, 'migration_address = "192.0.2.7"'),
        "libvirt.migration.address",
    ),
    _fault(
        "sources-are-told-localhost",
        _set(_QEMU, 'migration_host = "localhost"'),
        "libvirt.migration.host",
        "libvirt.migration-tls.names",
    ),
    _fault(
        "own-name-is-loopback",
        "sed '/ beta$/d' /etc/hosts > /tmp/hosts; echo '127.0.1.1 beta' >> /tmp/hosts\n"
        "cat /tmp/hosts > /etc/hosts",
        "libvirt.migration.hostname",
    ),
    _fault(
        "two-migration-ports",
        _set(_QEMU, "migration_port_min = 49152", "migration_port_max = 49153"),
        "libvirt.migration.ports",
    ),
    _fault(
        "filter-drops-migrations",
        _NFT.format(_HOOK, "nft add rule inet fault in tcp dport 49152-49215 drop"),
        "libvirt.firewall.migration",
    ),
    _fault(
        "filter-drops-the-daemon",
        _NFT.format(_HOOK, "nft add rule inet fault in tcp dport '{ 16509, 16514 }' drop"),
        "libvirt.firewall.daemon",
    ),
    # Certificates.
    _fault(
        "certificate-expired",
        _DAEMON_CERTIFICATE,
        "libvirt.tls.validity",
        certificate=(("beta",), -1),
    ),
    _fault(
        "certificate-expires-soon",
        _QEMU_CERTIFICATE,
        "libvirt.migration-tls.validity",
        certificate=(("beta", "data"), 7),
    ),
    _fault(
        "certificate-for-another-name",
        _DAEMON_CERTIFICATE,
        "libvirt.tls.names",
        certificate=(("gamma",), 90),
    ),
    _fault(
        "certificate-of-a-stranger",
        _DAEMON_CERTIFICATE,
        "libvirt.tls.chain",
        certificate=(("beta",), 90),
        stranger=True,
    ),
    _fault(
        "certificate-missing", "rm /etc/pki/qemu/server-cert.pem", "libvirt.migration-tls.complete"
    ),
    _fault(
        "key-that-anybody-reads",
        "chmod 0644 /etc/pki/libvirt/private/serverkey.pem",
        "libvirt.tls.keys",
    ),
    _fault(
        "migration-key-that-anybody-reads",
        "chmod 0644 /etc/pki/qemu/server-key.pem",
        "libvirt.migration-tls.keys",
    ),
    # Nova.
    _fault(
        "nova-forbids-post-copy",
        _nova("live_migration_permit_post_copy", "false"),
        "nova.postcopy.permitted",
    ),
    _fault(
        "nova-gives-up",
        _nova("live_migration_timeout_action", "abort"),
        "nova.timeout.action",
    ),
    _fault(
        "nova-waits-for-hours",
        _nova("live_migration_completion_timeout", "800"),
        "nova.timeout.completion",
    ),
    _fault(
        "nova-tells-loopback",
        _nova("live_migration_inbound_addr", "127.0.0.1"),
        "nova.address.own",
        mends=False,  # the host has two addresses, and nobody guesses which
    ),
    _fault(
        "nova-with-the-flags-of-2014",
        _nova("live_migration_flag", "VIR_MIGRATE_PEER2PEER, VIR_MIGRATE_LIVE"),
        "nova.flags.removed",
    ),
    _fault(
        "nova-conf-makes-no-sense",
        f"echo 'this is no setting' >> {_NOVA}",
        "nova.config.parsable",
        mends=False,
    ),
    # QEMU itself: packages are not set-up's business.
    _fault(
        "qemu-cannot-be-run",
        "chmod 0644 /usr/bin/qemu-system-x86_64\n" + _RESTART.split("until", maxsplit=1)[0],
        "qemu.installed",
        "libvirt.daemon.running",
        mends=False,
    ),
)

PAIR_FAULTS = (
    _fault(
        "source-does-not-know-the-name",
        f"sed -i '/^migration_host/d' {_QEMU}",
        "libvirt.pair.resolution",
        peer="sed '/ beta$/d' /etc/hosts > /tmp/hosts; cat /tmp/hosts > /etc/hosts",
    ),
    _fault(
        "two-hosts-of-one-uuid",
        _set(_DAEMON, 'host_uuid = "PEER-UUID"') + _RESTART,
        "libvirt.pair.uuid",
    ),
    _fault(
        "filter-between-the-hosts",
        _NFT.format(_HOOK, "nft add rule inet fault in tcp dport 49152-49215 drop"),
        "libvirt.firewall.migration",
    ),
)
