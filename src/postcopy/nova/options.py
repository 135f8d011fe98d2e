"""The options of nova.conf that matter to live migration, with their defaults and releases.

Runs on the hosts that are looked at too, with their Python (3.9 or newer) and nothing else: the
probe keeps the values of these options and of no others.

Names, defaults and limits are those of the ``nova/conf`` of each release from 15 (Ocata) to 34.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

__all__ = ["OPTIONS", "Option", "blank", "find"]


class Option(NamedTuple):
    """One option.

    :ivar kind: ``bool``, ``int``, ``str``, ``list`` or ``multi`` (given many times).
    :ivar default: what it is where it is not set.
    :ivar since: the first release that knows it; 0 for all that are looked at.
    :ivar until: the first release that knows it no longer; 0 while it is known.
    :ivar was: its older names, in the same section.
    :ivar earlier: what the default was, and the release that changed it.
    """

    section: str
    name: str
    kind: str
    default: Any = None
    minimum: int | None = None
    choices: tuple[str, ...] = ()
    since: int = 0
    until: int = 0
    was: tuple[str, ...] = ()
    earlier: tuple[Any, int] | None = None


_LIBVIRT = (
    Option("libvirt", "virt_type", "str", "kvm"),
    Option("libvirt", "connection_uri", "str", ""),
    Option(
        "libvirt", "cpu_mode", "str", None,
        choices=("host-model", "host-passthrough", "custom", "none"),
    ),
    Option("libvirt", "cpu_models", "list", [], was=("cpu_model",)),
    Option("libvirt", "live_migration_permit_post_copy", "bool", False),
    Option("libvirt", "live_migration_permit_auto_converge", "bool", False),
    Option(
        "libvirt", "live_migration_timeout_action", "str", "abort",
        choices=("abort", "force_complete"), since=19,
    ),
    Option("libvirt", "live_migration_completion_timeout", "int", 800, minimum=0),
    Option("libvirt", "live_migration_progress_timeout", "int", 0, until=19),
    Option("libvirt", "live_migration_downtime", "int", 500, minimum=100),
    Option("libvirt", "live_migration_downtime_steps", "int", 10, minimum=3),
    Option("libvirt", "live_migration_downtime_delay", "int", 75, minimum=3),
    Option("libvirt", "live_migration_bandwidth", "int", 0),
    Option("libvirt", "live_migration_uri", "str", None),
    Option("libvirt", "live_migration_scheme", "str", None),
    Option("libvirt", "live_migration_inbound_addr", "str", None),
    Option("libvirt", "live_migration_tunnelled", "bool", False),
    Option("libvirt", "live_migration_with_native_tls", "bool", False, since=19),
    Option("libvirt", "live_migration_parallel_connections", "int", 1, since=33),
    # Both were gone by release 15; recipes of 2014 and their copies still set them.
    Option("libvirt", "live_migration_flag", "str", None, until=15),
    Option("libvirt", "block_migration_flag", "str", None, until=15),
)  # fmt: skip

_DEFAULT = (
    Option("DEFAULT", "compute_driver", "str", None),
    Option("DEFAULT", "host", "str", None),
    Option("DEFAULT", "my_ip", "str", None),
    Option("DEFAULT", "max_concurrent_live_migrations", "int", 1, minimum=0),
    Option("DEFAULT", "update_resources_interval", "int", 0),
    Option("DEFAULT", "sync_power_state_interval", "int", 600),
    Option("DEFAULT", "vif_plugging_timeout", "int", 300, minimum=0),
    Option("DEFAULT", "vif_plugging_is_fatal", "bool", True),
)

_OTHERS = (
    Option(
        "compute", "live_migration_wait_for_vif_plug", "bool", True,
        since=17, earlier=(False, 19),
    ),
    Option("pci", "device_spec", "multi", [], was=("passthrough_whitelist",)),
    Option("upgrade_levels", "compute", "str", None),
    Option("workarounds", "disable_deep_image_inspection", "bool", False),
    Option("workarounds", "handle_virt_lifecycle_events", "bool", True),
    Option("workarounds", "skip_cpu_compare_on_dest", "bool", False),
    Option("workarounds", "skip_hypervisor_version_check_on_lm", "bool", False),
)  # fmt: skip

OPTIONS = _LIBVIRT + _DEFAULT + _OTHERS

_KNOWN = {
    (option.section, name): option for option in OPTIONS for name in (option.name, *option.was)
}

_BLANK = "***"
"""What stands in place of a value; it has no letter that means anything to a parser."""

_LOGIN = re.compile(r"://[^/@\s]*@")


def find(section: str, name: str) -> Option | None:
    """Return the option of that name, current or older; None for all others.

    As in oslo.config, the case of a section does not matter, except that of ``DEFAULT``.
    """
    return _KNOWN.get((section if section == "DEFAULT" else section.lower(), name))


def blank(text: str) -> str:
    """Return the text of a configuration file without what it may keep secret.

    Every value goes, except those of `OPTIONS`, and every comment. Lines stay where they are, and
    what could not be parsed before cannot be parsed after. Applied twice, it changes nothing more.
    """
    section, keep, made = "", False, []
    for line in text.split("\n"):
        content = line.rstrip()
        if not content:
            keep = False
        elif content[0] in " \t":
            line = _cleaned(line) if keep else f"{content[0]}{_BLANK}"
        elif content[0] in "#;":
            keep, line = False, content[0]
        elif content[0] == "[":
            keep = False
            line = "[" + "".join(c if c.isalnum() or c in "_.-: " else "*" for c in content[1:-1])
            line += content[-1] if len(content) > 1 and content[-1] == "]" else "*"
            section = line[1:-1]
        else:
            keep, line = _assignment(section, line)
        made.append(line)
    return "\n".join(made)


def _assignment(section: str, line: str) -> tuple[bool, str]:
    at = min((i for i in (line.find("="), line.find(":")) if i >= 0), default=-1)
    if at < 0:
        return False, _BLANK
    name = line[:at].strip()
    if find(section, name):
        return True, _cleaned(line)
    safe = "".join(c if c.isalnum() or c in "_.-" else "*" for c in name)
    return False, f"{safe} {line[at]} {_BLANK}" if safe else f"{line[at]}{_BLANK}"


def _cleaned(line: str) -> str:
    # A carriage return ends a line for Python's readers; what is behind it is another assignment.
    first, end, rest = line.rstrip().partition("\r")
    return _LOGIN.sub(f"://{_BLANK}@", f"{first}\r#" if end and rest else line)
