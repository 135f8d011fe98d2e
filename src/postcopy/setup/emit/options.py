"""Nova's options: what all hosts of a plan share, and what one alone wants."""

from collections.abc import Mapping, Sequence

from postcopy.setup.emit.settings import settings_of
from postcopy.setup.plan import Plan

__all__ = ["Options", "by_host", "ini"]

Options = dict[str, dict[str, str]]
"""Values by section and option."""

_OF_ONE_HOST = {"DEFAULT/host", "DEFAULT/my_ip", "libvirt/live_migration_inbound_addr"}
"""Never right for another host, also where only one is planned for."""

_UNSET_WHERE_EMPTY = {"libvirt/live_migration_uri"}


def by_host(plans: Sequence[Plan], kind: str = "nova") -> tuple[Options, dict[str, Options]]:
    """Return what every host with Nova's options wants alike, and what is left of each.

    An option that is taken out has no place in an override; it is emptied where Nova takes that for
    unset, and else not among them.
    """
    wanted = {
        plan.host: {
            key: "" if value is None else str(value)
            for change in plan.files
            if (settings := settings_of(change)).kind == kind
            for key, value in settings.values.items()
            if value is not None or key in _UNSET_WHERE_EMPTY
        }
        for plan in plans
    }
    wanted = {host: options for host, options in wanted.items() if options}
    if not wanted:
        return {}, {}
    first, *others = wanted.values()
    common = {
        key: value
        for key, value in first.items()
        if key not in _OF_ONE_HOST and all(o.get(key) == value for o in others)
    }
    own = {
        host: _nested({key: value for key, value in options.items() if key not in common})
        for host, options in wanted.items()
    }
    return _nested(common), {host: options for host, options in own.items() if options}


def ini(options: Mapping[str, Mapping[str, str]]) -> str:
    """Return options as oslo.config reads them."""
    sections = [
        "\n".join(
            [f"[{section}]", *(f"{name} = {value}".rstrip() for name, value in values.items())]
        )
        for section, values in options.items()
    ]
    return "\n\n".join(sections) + "\n"


def _nested(flat: Mapping[str, str]) -> Options:
    nested: Options = {}
    for key, value in flat.items():
        section, _, option = key.partition("/")
        nested.setdefault(section, {})[option] = value
    return nested
