"""Kolla-Ansible's overrides: ``/etc/kolla/config`` and ``globals.d``.

Nova's options are merged from ``config/nova/nova-compute.conf`` and, for one host,
``config/nova/HOST/nova.conf`` (the ``merge_configs`` of its role ``nova-cell``). Its libvirt runs
in a container and is configured from templates of the role, which have variables and no overrides:
settings without one are written down as comments. What concerns the host itself is a playbook.
"""

from collections.abc import Sequence

from postcopy.readiness import FileChange
from postcopy.setup.emit.ansible import dump, playbook
from postcopy.setup.emit.options import by_host, ini
from postcopy.setup.emit.settings import settings_of
from postcopy.setup.plan import Plan

__all__ = ["emit"]

_VARIABLES = {
    "migration_address": "migration_interface: the interface with this address",
    "migration_host": "migration_interface: the interface with this address",
    "listen_tls": 'libvirt_tls: "yes"',
    "listen_tcp": 'libvirt_tls: "no" (Kolla listens on TCP then)',
    "listen_addr": "migration_interface: the interface with this address",
}
"""Of libvirt's settings, those that Kolla-Ansible derives from a variable (group_vars/all)."""


def emit(plans: Sequence[Plan]) -> dict[str, str]:
    """Return files below ``/etc/kolla``, and a playbook for what is not Kolla's."""
    files = {}
    common, own = by_host(plans)
    if common:
        files["config/nova/nova-compute.conf"] = ini(common)
    for host, options in own.items():
        files[f"config/nova/{host}/nova.conf"] = ini(options)
    if notes := _notes(plans):
        files["globals.d/postcopy.yml"] = notes
    if plays := playbook(plans, _of_the_host):
        files["postcopy-hosts.yml"] = dump(plays)
    return files


def _of_the_host(change: FileChange) -> bool:
    return settings_of(change).kind not in ("libvirt", "nova") and not change.path.startswith(
        ("/etc/libvirt/", "/etc/pki/")
    )


def _notes(plans: Sequence[Plan]) -> str:
    lines: list[str] = []
    for plan in plans:
        for change in plan.files:
            if change.path.startswith("/etc/pki/"):
                lines.append(f"# {plan.host}: {change.path}: kolla-ansible certificates")
            settings = settings_of(change)
            if settings.kind == "libvirt":
                lines += [
                    f"# {plan.host}: {change.path}: {key} = {value!r};"
                    f" {_VARIABLES.get(key, 'change the template in the role nova-cell')}"
                    for key, value in settings.values.items()
                ]
    head = ["---", "# libvirt is Kolla's own; these are the variables that lead there."]
    return "\n".join([*head, *dict.fromkeys(lines), ""]) if lines else ""
