"""When to switch to post-copy: one rule a module. Start with `find`.

Each rule is a small frozen table of data and one pure function from a `History` to a `Decision`.
`adaptive` is this project's own; `nova`, `nova-newton`, `ovirt`, `kubevirt`, `kubevirt-stall`,
`virsh-timeout` and `guestperf` are what others do, with their constants.
"""

from postcopy.errors import UsageError
from postcopy.migration.decision import Policy
from postcopy.policy import parameters
from postcopy.policy.adaptive import Adaptive
from postcopy.policy.after_first_pass import AfterFirstPass
from postcopy.policy.guestperf import Guestperf
from postcopy.policy.immediate import Immediate
from postcopy.policy.kubevirt import Kubevirt
from postcopy.policy.kubevirt_stall import KubevirtStall
from postcopy.policy.nova import Nova
from postcopy.policy.nova_newton import NovaNewton
from postcopy.policy.ovirt import Ovirt
from postcopy.policy.parameters import Parameter, parameters_of
from postcopy.policy.precopy import Precopy
from postcopy.policy.virsh_timeout import VirshTimeout

__all__ = [
    "find",
    "spec_of",
    "POLICIES",
    "Adaptive",
    "AfterFirstPass",
    "Immediate",
    "Precopy",
    "Nova",
    "NovaNewton",
    "Ovirt",
    "Kubevirt",
    "KubevirtStall",
    "VirshTimeout",
    "Guestperf",
    "Parameter",
    "parameters_of",
]

POLICIES: dict[str, type[Policy]] = {
    "adaptive": Adaptive,
    "after-first-pass": AfterFirstPass,
    "immediate": Immediate,
    "precopy": Precopy,
    "nova": Nova,
    "nova-newton": NovaNewton,
    "ovirt": Ovirt,
    "kubevirt": Kubevirt,
    "kubevirt-stall": KubevirtStall,
    "virsh-timeout": VirshTimeout,
    "guestperf": Guestperf,
}
"""Every rule, by the name that users give it."""


def find(spec: str) -> Policy:
    """Return a rule by its name, with parameters if any: ``nova:completion_timeout=15``.

    :raises UsageError: when there is no such rule or parameter, or a value makes no sense.
    """
    name, _, text = spec.partition(":")
    try:
        rule = POLICIES[name]
    except KeyError:
        raise UsageError(
            f"there is no policy {name!r}",
            hint=f"choose one of: {', '.join(POLICIES)}; their parameters: postcopy policies",
        ) from None
    return rule(**parameters.read(rule, name, text))


def spec_of(policy: Policy) -> str:
    """Return what `find` makes the same rule of."""
    chosen = parameters.write(policy) if type(policy) in POLICIES.values() else ""
    return f"{policy.name}:{chosen}" if chosen else policy.name
