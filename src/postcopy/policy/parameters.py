"""A policy's constants as parameters that users can set: ``nova:completion_timeout=15``."""

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from postcopy.errors import UsageError

__all__ = ["Parameter", "parameter", "parameters_of", "read", "write"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One constant of a rule.

    :param default: the peer's own, where the rule is a peer's.
    :param least: the smallest value that makes sense.
    :param choices: the words that are possible; any value if empty.
    """

    name: str
    kind: type
    optional: bool
    default: Any
    text: str
    least: float
    choices: tuple[str, ...]

    def parse(self, text: str) -> Any:
        """Read a value as users write it.

        :raises UsageError: when it makes no sense.
        """
        text = text.strip()
        if self.optional and text in ("none", "never"):
            return None
        try:
            value = _TRUTH[text.lower()] if self.kind is bool else self.kind(text)
        except (ValueError, KeyError):
            raise self._refuse(text) from None
        if self.choices and value not in self.choices:
            raise self._refuse(text)
        if self.kind in (int, float) and not (self.least <= value < math.inf):
            raise self._refuse(text)
        return value

    def _refuse(self, text: str) -> UsageError:
        wanted = {bool: "yes or no", int: "a whole number", float: "a number"}.get(self.kind, "")
        if self.choices:
            wanted = f"one of {', '.join(self.choices)}"
        elif self.kind is not bool:
            wanted += f" of at least {self.least:g}" + (", or none" if self.optional else "")
        return UsageError(f"{self.name}={text} makes no sense", hint=f"{self.text}: {wanted}")


_TRUTH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def parameter(default: Any, text: str, *, least: float = 0.0, choices: tuple[str, ...] = ()) -> Any:
    """Declare a field of a policy that users can set.

    :param text: what it is, with its unit.
    """
    return field(default=default, metadata={"text": text, "least": least, "choices": choices})


def parameters_of(policy: type) -> tuple[Parameter, ...]:
    """Return the parameters of a policy, in the order in which it declares them."""
    hints = typing.get_type_hints(policy)
    found = []
    for each in fields(policy):
        if "text" not in each.metadata or each.default is MISSING:
            continue
        hint = hints[each.name]
        parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        [kind] = [part for part in parts if part is not type(None)]
        found.append(
            Parameter(
                name=each.name,
                kind=kind,
                optional=len(parts) > 1,
                default=each.default,
                **each.metadata,
            )
        )
    return tuple(found)


def read(policy: type, name: str, text: str) -> Mapping[str, Any]:
    """Read ``a=1,b=2`` as a policy's parameters.

    :raises UsageError: when there is no such parameter, or a value makes no sense.
    """
    known = {each.name: each for each in parameters_of(policy)}
    values: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        key = key.strip().replace("-", "_")
        if key not in known or not equals:
            has = ", ".join(f"{each.name}={_text(each.default)}" for each in known.values())
            raise UsageError(
                f"policy {name!r} has no parameter {key!r}"
                if equals
                else f"{part!r} is not a parameter: write name=value",
                hint=f"it has: {has}" if known else "it has none",
            )
        values[key] = known[key].parse(value)
    return values


def write(policy: Any) -> str:
    """Return the parameters that differ from their defaults, as `read` reads them."""
    return ",".join(
        f"{each.name}={_text(getattr(policy, each.name))}"
        for each in parameters_of(type(policy))
        if getattr(policy, each.name) != each.default
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
