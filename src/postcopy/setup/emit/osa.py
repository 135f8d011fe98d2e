"""OpenStack-Ansible's overrides, below ``/etc/openstack_deploy``.

``nova_nova_conf_overrides`` and ``openstack_user_kernel_options`` are its own variables for this
(its documentation sets up post-copy with both). libvirt's files have none, and are a playbook.
"""

from collections.abc import Sequence
from typing import Any

from postcopy.readiness import FileChange
from postcopy.setup.emit.ansible import dump, playbook
from postcopy.setup.emit.options import by_host
from postcopy.setup.emit.settings import settings_of
from postcopy.setup.plan import Plan

__all__ = ["emit"]


def emit(plans: Sequence[Plan]) -> dict[str, str]:
    """Return group and host variables, and a playbook for what has no variable."""
    files = {}
    common, own = by_host(plans)
    variables: dict[str, Any] = {"nova_nova_conf_overrides": common} if common else {}
    if kernel := _kernel_options(plans):
        variables["openstack_user_kernel_options"] = kernel
    if variables:
        files["group_vars/nova_compute.yml"] = dump(variables)
    for host, options in own.items():
        # A variable of a host stands in place of the group's, so it has the common ones too.
        merged = {
            section: {**common.get(section, {}), **options.get(section, {})}
            for section in [*common, *(one for one in options if one not in common)]
        }
        files[f"host_vars/{host}.yml"] = dump({"nova_nova_conf_overrides": merged})
    if plays := playbook(plans, _without_variable):
        files["playbooks/postcopy-hosts.yml"] = dump(plays)
    return files


def _without_variable(change: FileChange) -> bool:
    return settings_of(change).kind not in ("nova", "sysctl")


def _kernel_options(plans: Sequence[Plan]) -> list[dict[str, str]]:
    wanted = {
        key: str(value)
        for plan in plans
        for change in plan.files
        if (settings := settings_of(change)).kind == "sysctl"
        for key, value in settings.values.items()
        if value is not None
    }
    return [{"key": key, "value": value} for key, value in wanted.items()]
