"""How a guest is moved: by a policy, or by virsh itself."""

from dataclasses import dataclass

from postcopy.bench.moment import Moment
from postcopy.errors import UsageError
from postcopy.migration.decision import Policy
from postcopy.policy import find, parameters

__all__ = ["Method"]

_WITHOUT_PREEMPT = " without preempt"
_AUTO_CONVERGE = " with auto-converge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to move a guest. Make it with `parse`.

    :param text: how users write it; also its name.
    :param policy: the rule; None where virsh itself is called.
    :param virsh: the options of ``virsh migrate`` that say when it switches.
    :param preempt: whether requested pages may overtake others.
    :param auto_converge: whether the guest is slowed down in pre-copy.
    """

    text: str
    policy: Policy | None = None
    virsh: tuple[str, ...] = ()
    preempt: bool = True
    auto_converge: bool = False

    @classmethod
    def parse(cls, text: str) -> "Method":
        """Read a method: ``adaptive``, ``moment:passes=2``, ``adaptive without preempt``.

        ``virsh:postcopy-after-precopy`` and ``virsh:timeout=SECONDS`` call virsh itself.

        :raises UsageError: when there is no such method.
        """
        text = " ".join(text.split())
        rule = text
        preempt = not rule.endswith(_WITHOUT_PREEMPT)
        rule = rule.removesuffix(_WITHOUT_PREEMPT)
        auto_converge = rule.endswith(_AUTO_CONVERGE)
        rule = rule.removesuffix(_AUTO_CONVERGE)
        kind, _, rest = rule.partition(":")
        if kind == "virsh":
            if not preempt or auto_converge:
                raise UsageError(f"{text!r}: virsh is called as it is", hint=_VIRSH_HINT)
            return cls(text=text, virsh=_virsh(rest))
        policy: Policy
        if kind == Moment.name:
            chosen = parameters.read(Moment, Moment.name, rest)
            if len(chosen) != 1:
                raise UsageError(
                    f"{text!r} is not one moment",
                    hint="moment:passes=2, moment:sent=0.5 or moment:seconds=3",
                )
            policy = Moment(**chosen)
        else:
            policy = find(rule)
        if not preempt and not policy.uses_postcopy:
            raise UsageError(f"{text!r}: it never switches", hint=f"leave{_WITHOUT_PREEMPT} out")
        return cls(text=text, policy=policy, preempt=preempt, auto_converge=auto_converge)

    @property
    def fixed(self) -> bool:
        """Whether it is one of the moments that an oracle is looked for among, never included."""
        kind = self.text.partition(":")[0]
        return self.preempt and kind in (Moment.name, "immediate", "after-first-pass", "precopy")

    def refusal(self, floor: str) -> str | None:
        """Return why it cannot be used on a floor, None if it can."""
        if floor == "qemu" and self.virsh:
            return f"{self.text}: virsh moves libvirt domains only"
        if floor == "qemu" and self.auto_converge:
            return f"{self.text}: auto-converge is offered for libvirt domains only"
        if floor == "libvirt" and not self.preempt:
            return f"{self.text}: libvirt always lets requested pages overtake others"
        return None


_VIRSH_HINT = "virsh:postcopy-after-precopy or virsh:timeout=SECONDS"


def _virsh(text: str) -> tuple[str, ...]:
    if text == "postcopy-after-precopy":
        return ("--postcopy", "--postcopy-after-precopy")
    key, _, value = text.partition("=")
    if key == "timeout" and value.isascii() and value.isdigit() and int(value) > 0:
        return ("--postcopy", "--timeout", str(int(value)), "--timeout-postcopy")
    raise UsageError(f"virsh cannot be told {text!r}", hint=_VIRSH_HINT)
