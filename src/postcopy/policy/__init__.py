"""When to switch to post-copy: one rule a module. Start with `find`.

Each rule is a small frozen table of data and one pure function from a `History` to a `Decision`.
"""

from postcopy.errors import UsageError
from postcopy.migration.decision import Policy
from postcopy.policy.adaptive import Adaptive
from postcopy.policy.after_first_pass import AfterFirstPass
from postcopy.policy.immediate import Immediate
from postcopy.policy.precopy import Precopy

__all__ = ["POLICIES", "Adaptive", "AfterFirstPass", "Immediate", "Precopy", "find"]

POLICIES: dict[str, type[Policy]] = {
    "adaptive": Adaptive,
    "after-first-pass": AfterFirstPass,
    "immediate": Immediate,
    "precopy": Precopy,
}
"""Every rule, by the name that users give it."""


def find(name: str) -> Policy:
    """Return the rule of that name, with its usual constants.

    :raises UsageError: when there is none.
    """
    try:
        return POLICIES[name]()
    except KeyError:
        raise UsageError(
            f"there is no policy {name!r}", hint=f"choose one of: {', '.join(POLICIES)}"
        ) from None
