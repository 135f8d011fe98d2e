"""A plan in the words of a configuration management, for hosts that belong to one.

Start with `emit`: it returns files by their names, in that tool's own layout. Nothing is changed,
and no secret is among them: what is secret is named, and left to the tool's own vault.
"""

from collections.abc import Callable, Mapping, Sequence

from postcopy.setup.emit import ansible, kolla, osa
from postcopy.setup.plan import Plan
from postcopy.setup.shown import diff

__all__ = ["KINDS", "emit"]


def _diff(plans: Sequence[Plan]) -> dict[str, str]:
    return {
        f"{_safe(plan.host)}.diff": "".join(diff(change) for change in plan.files)
        for plan in plans
        if plan.files
    }


def _safe(host: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in host)


KINDS: Mapping[str, Callable[[Sequence[Plan]], dict[str, str]]] = {
    "ansible": ansible.emit,
    "diff": _diff,
    "kolla": kolla.emit,
    "osa": osa.emit,
}


def emit(kind: str, plans: Sequence[Plan]) -> dict[str, str]:
    """Return what plans come to, as files of a configuration management.

    :param kind: a key of `KINDS`.
    :returns: contents by relative path.
    """
    return KINDS[kind]([plan for plan in plans if not plan.empty])
