"""Which of Debian's packages a host of a cloud has beyond those of every lab host."""

__all__ = ["NEEDED_BYTES", "OLDER_RELEASE", "PACKAGES", "RELEASE", "RELEASES"]

RELEASE = "trixie-openstack"
"""Debian 13 with OpenStack 2025.1: Nova 31, libvirt 11.3, QEMU 10.0. One root for all hosts."""

OLDER_RELEASE = "bookworm-openstack"
"""Debian 12 with OpenStack Zed: Nova 26, libvirt 9.0, and QEMU 10.0 from its backports."""

RELEASES = (OLDER_RELEASE, RELEASE)
"""Those that have OpenStack; all hosts of a cloud are made of the same."""

PACKAGES = (
    *("keystone", "placement-api", "glance-api", "neutron-server"),
    *("nova-api", "nova-conductor", "nova-scheduler", "nova-compute", "nova-compute-kvm"),
    *("mariadb-server", "rabbitmq-server", "uwsgi-core", "uwsgi-plugin-python3"),
    "python3-openstackclient",
)

NEEDED_BYTES = 4_000_000_000
"""While a root is built: 2.1 GB in the end, and the packages that it came from."""
