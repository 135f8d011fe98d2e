"""The configuration of every service, as data, and the files that it becomes. Pure.

`files` returns what is to be written into a host, by path. Only what differs from OpenStack's own
defaults is there, and a comment says why where that is not plain.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from postcopy.lab import names
from postcopy.lab.openstack.packages import RELEASE
from postcopy.lab.openstack.passwords import Passwords

__all__ = [
    "CATALOG",
    "DATABASES",
    "DATABASE_SOCKET",
    "DATABASE_USER",
    "INSTANCES",
    "PORTS",
    "REGION",
    "SHARED_INSTANCES",
    "Site",
    "files",
    "ini",
]

Sections = Mapping[str, Mapping[str, object]]

REGION = "RegionOne"
DATABASE_USER = "openstack"
DATABASE_SOCKET = "/run/mysqld/mysqld.sock"
DATABASES = ("keystone", "placement", "glance", "neutron", "nova_api", "nova", "nova_cell0")

INSTANCES = "/var/lib/nova/instances"
SHARED_INSTANCES = "/mnt/shared/instances"
"""The same directory of the machine in both compute hosts."""

PORTS = {
    "keystone": 5000,
    "placement": 8778,
    "glance": 9292,
    "neutron": 9696,
    "nova": 8774,
    "messages": 5672,
}

CATALOG = {
    "keystone": ("identity", "/v3"),
    "placement": ("placement", ""),
    "glance": ("image", ""),
    "neutron": ("network", ""),
    "nova": ("compute", "/v2.1"),
}
"""The type of each service in Keystone's catalogue, and the path at its port."""

_STATE = "/var/lib/postcopy"
_MIB_RESERVED = 512


@dataclass(frozen=True, slots=True)
class Site:
    """What the configuration of a cloud follows from.

    :ivar controller: the controller's address on the control link.
    :ivar passwords: the cloud's own.
    :ivar shared: whether instances are in a directory that both compute hosts see.
    :ivar nova: options of nova.conf's ``[libvirt]`` on the compute hosts, in place of the lab's.
    :ivar release: what its hosts are made of.
    """

    controller: str
    passwords: Passwords
    shared: bool = False
    nova: Mapping[str, str] = field(default_factory=dict)
    release: str = RELEASE

    def url(self, service: str) -> str:
        """Return the public address of a service."""
        return f"http://{self.controller}:{PORTS[service]}{CATALOG[service][1]}"

    @property
    def messages(self) -> str:
        """The address of the message queue, password included."""
        return (
            f"rabbit://openstack:{self.passwords.messages}@{self.controller}:{PORTS['messages']}/"
        )

    def database(self, name: str) -> str:
        """Return the address of a database, password included; of use in the controller alone."""
        user = f"{DATABASE_USER}:{self.passwords.database}"
        socket = f"unix_socket={DATABASE_SOCKET}"
        return f"mysql+pymysql://{user}@localhost/{name}?charset=utf8&{socket}"


def files(site: Site, host: str, control: str, data: str) -> dict[str, str]:
    """Return the text of each configuration file of a host.

    :param host: its name.
    :param control: its address on the control link.
    :param data: its address on the data link, where migrations go.
    """
    if host == names.CONTROLLER:
        return _controller(site)
    return {"/etc/nova/nova.conf": ini(_nova_compute(site, host, control, data))}


def ini(sections: Sections) -> str:
    """Return sections in oslo.config's format."""
    lines: list[str] = []
    for name, options in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{option} = {_word(value)}" for option, value in options.items()]
    return "\n".join(lines) + "\n"


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _controller(site: Site) -> dict[str, str]:
    keys = site.passwords.token_keys
    return {
        "/etc/keystone/keystone.conf": ini(_keystone(site)),
        **{f"/etc/keystone/fernet-keys/{number}": key for number, key in enumerate(keys)},
        "/etc/placement/placement.conf": ini(_placement(site)),
        "/etc/glance/glance-api.conf": ini(_glance(site)),
        "/etc/neutron/neutron.conf": ini(_neutron(site)),
        "/etc/nova/nova.conf": ini(_nova_controller(site)),
        "/etc/rabbitmq/postcopy.conf": _rabbit(site),
        "/etc/rabbitmq/rabbitmq-env.conf": "",
        "/etc/rabbitmq/enabled_plugins": "[].\n",
    }


def _as_user(site: Site, user: str) -> dict[str, object]:
    return {
        "auth_type": "password",
        "auth_url": site.url("keystone"),
        "username": user,
        "password": site.passwords.service,
        "user_domain_name": "Default",
        "project_name": "service",
        "project_domain_name": "Default",
        "region_name": REGION,
    }


def _tokens(site: Site, user: str) -> Sections:
    """Return how a service has the tokens checked that it is shown."""
    checked = {
        "www_authenticate_uri": site.url("keystone"),
        "service_token_roles_required": True,
    }
    return {"keystone_authtoken": {**_as_user(site, user), **checked}}


def _keystone(site: Site) -> Sections:
    return {
        "DEFAULT": {"log_file": "/var/log/keystone/keystone.log"},
        "database": {"connection": site.database("keystone")},
        "token": {"provider": "fernet", "expiration": 86400},
        # The least that bcrypt allows: passwords here are random and live as long as the lab.
        "identity": {"password_hash_rounds": 4},
    }


def _placement(site: Site) -> Sections:
    return {
        "DEFAULT": {"log_file": "/var/log/placement/placement-api.log"},
        "placement_database": {"connection": site.database("placement")},
        "api": {"auth_strategy": "keystone"},
        **_tokens(site, "placement"),
    }


def _glance(site: Site) -> Sections:
    return {
        "DEFAULT": {
            "log_file": "/var/log/glance/glance-api.log",
            "enabled_backends": "file:file",
            "workers": 1,
        },
        "database": {"connection": site.database("glance")},
        "glance_store": {"default_backend": "file"},
        "file": {"filesystem_store_datadir": f"{_STATE}/images/"},
        "os_glance_staging_store": {"filesystem_store_datadir": f"{_STATE}/staging/"},
        "os_glance_tasks_store": {"filesystem_store_datadir": f"{_STATE}/tasks/"},
        "paste_deploy": {"flavor": "keystone"},
        "oslo_concurrency": {"lock_path": f"{_STATE}/locks"},
        **_tokens(site, "glance"),
    }


def _neutron(site: Site) -> Sections:
    # No agents and no networks: Nova asks for its API even for instances without any port.
    return {
        "DEFAULT": {
            "log_file": "/var/log/neutron/neutron-server.log",
            "core_plugin": "ml2",
            "service_plugins": "",
            "transport_url": site.messages,
            "api_paste_config": "/etc/neutron/api-paste.ini",
            "api_workers": 1,
            "rpc_workers": 1,
            "rpc_state_report_workers": 0,
            "notify_nova_on_port_status_changes": False,
            "notify_nova_on_port_data_changes": False,
            "state_path": f"{_STATE}/neutron",
        },
        "database": {"connection": site.database("neutron")},
        "ml2": {
            "type_drivers": "local",
            "tenant_network_types": "local",
            "mechanism_drivers": "",
            "extension_drivers": "",
        },
        "oslo_concurrency": {"lock_path": f"{_STATE}/locks"},
        **_tokens(site, "neutron"),
    }


def _nova_controller(site: Site) -> Sections:
    return {
        "DEFAULT": {
            **_nova_everywhere(site),
            "my_ip": site.controller,
            "host": names.CONTROLLER,
            "state_path": f"{_STATE}/nova",
        },
        "api_database": {"connection": site.database("nova_api")},
        "database": {"connection": site.database("nova")},
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1},
        "oslo_concurrency": {"lock_path": f"{_STATE}/locks"},
        **_nova_peers(site),
        **_tokens(site, "nova"),
    }


def _nova_compute(site: Site, host: str, control: str, data: str) -> Sections:
    return {
        "DEFAULT": {
            **_nova_everywhere(site),
            "my_ip": control,
            "host": host,
            "log_file": "/var/log/nova/nova-compute.log",
            "state_path": "/var/lib/nova",
            "compute_driver": "libvirt.LibvirtDriver",
            "instances_path": SHARED_INSTANCES if site.shared else INSTANCES,
            "reserved_host_memory_mb": _MIB_RESERVED,
            # Two hosts of one machine: each counts all of it as its own.
            "cpu_allocation_ratio": 8.0,
            "ram_allocation_ratio": 2.0,
            # The audit asks libvirt for every device, and freezes nova-compute while QEMU is busy
            # with a migration.
            "update_resources_interval": -1,
        },
        "vnc": {"enabled": False},
        "spice": {"enabled": False},
        # Nova's way to give a guest two serial ports: what the witness says and what it is told.
        "serial_console": {"enabled": True, "proxyclient_address": control},
        "libvirt": {
            "virt_type": "qemu",
            "cpu_mode": "none",
            "inject_partition": -2,
            "live_migration_scheme": "tcp",
            "live_migration_inbound_addr": data,
            "live_migration_permit_post_copy": True,
            # Seconds a GiB: a small guest has 30, and with a disk to copy 60, before Nova acts.
            "live_migration_completion_timeout": 15,
            "live_migration_timeout_action": "force_complete",
            **site.nova,
        },
        "oslo_concurrency": {"lock_path": "/var/lib/nova/locks"},
        **_nova_peers(site),
    }


def _nova_everywhere(site: Site) -> dict[str, object]:
    return {
        "transport_url": site.messages,
        "api_paste_config": "/etc/nova/api-paste.ini",
        "rootwrap_config": "/etc/nova/rootwrap.conf",
    }


def _nova_peers(site: Site) -> Sections:
    return {
        "glance": {"region_name": REGION},
        "placement": _as_user(site, "placement"),
        "neutron": _as_user(site, "neutron"),
        "service_user": {**_as_user(site, "nova"), "send_service_user_token": True},
    }


def _rabbit(site: Site) -> str:
    return (
        f"listeners.tcp.1 = {site.controller}:{PORTS['messages']}\n"
        "loopback_users = none\n"
        "default_user = openstack\n"
        f"default_pass = {site.passwords.messages}\n"
    )
