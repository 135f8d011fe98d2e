"""The ways to move a guest that are compared with each other."""

from dataclasses import dataclass, replace

from postcopy.forecast.inputs import Inputs
from postcopy.forecast.outlook import Method
from postcopy.forecast.watching import LOOKS_A_PASS
from postcopy.policy import Adaptive, AfterFirstPass, Immediate, Precopy

__all__ = ["Offers", "methods_for"]

# A link that is faster than this part of what one connection carries may want several.
_WORTH_SEVERAL = 0.5
# A deadline may fall into the middle of a pass.
_SAMPLES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What both hypervisors can do.

    :param postcopy: whether the guest may go over to post-copy.
    :param preempt: whether requested pages may have a connection of their own.
    :param preempt_optional: whether that can be chosen.
    :param multifd: whether pre-copy may use several connections.
    :param looks: whether the guest can be looked at during its migration.
    """

    postcopy: bool = True
    preempt: bool = True
    preempt_optional: bool = True
    multifd: bool = True
    looks: bool = True


def methods_for(inputs: Inputs, adaptive: Adaptive, offers: Offers) -> list[Method]:
    """Return what can be chosen from, the adaptive policy first."""
    found = []
    if offers.postcopy:
        # Of a guest that does not rest, looks tell next to nothing that its passes do not.
        watched = offers.looks and inputs.dirtying.bursts is not None
        samples = _SAMPLES if adaptive.deadline is not None else 1
        alone = Method(
            "adaptive without preempt",
            adaptive,
            preempt=False,
            samples_a_pass=LOOKS_A_PASS if watched else samples,
            watched=watched,
        )
        found += [
            replace(alone, name="adaptive", preempt=offers.preempt),
            Method("after-first-pass", AfterFirstPass(), preempt=offers.preempt),
            Method("immediate", Immediate(), preempt=offers.preempt),
        ]
        if offers.preempt and offers.preempt_optional:
            found.append(alone)
    found.append(Method("precopy", Precopy()))
    found.append(Method("precopy with auto-converge", Precopy(), auto_converge=True))
    if offers.multifd and inputs.bandwidth.value > _WORTH_SEVERAL * inputs.stream_bandwidth.value:
        found.append(Method("precopy with multifd", Precopy(), multifd=True))
    return found
