"""Which of Debian's packages a host of a cloud has beyond those of every lab host."""

__all__ = ["NEEDED_BYTES", "PACKAGES", "RELEASE"]

RELEASE = "trixie-openstack"
"""Debian 13 with OpenStack 2025.1: Nova 31, libvirt 11.3, QEMU 10.0. One root for all hosts."""

PACKAGES = (
    *("keystone", "placement-api", "glance-api", "neutron-server"),
    *("nova-api", "nova-conductor", "nova-scheduler", "nova-compute", "nova-compute-kvm"),
    *("mariadb-server", "rabbitmq-server", "uwsgi-core", "uwsgi-plugin-python3"),
    "python3-openstackclient",
)

NEEDED_BYTES = 4_000_000_000
"""While the root is built: 2.1 GB in the end, and the packages that it came from."""
