"""What a host's packet filter does to a new TCP connection that comes in at a port.

Rules are read from ``nft -j list ruleset`` and from ``iptables-save``. Where a rule depends on
what is not known here (an address, an interface), the answer is `Passage.UNSURE`: whether a
connection comes through is proven by making one.
"""

import enum
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Chain", "Firewall", "Passage"]

_DEEPEST = 16


class Passage(enum.StrEnum):
    """What becomes of a connection."""

    OPEN = "open"
    UNSURE = "unsure"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as far as it concerns a new TCP connection.

    :param ports: those it is about; None for all.
    :param certain: whether nothing else is asked of the connection.
    :param action: ``accept``, ``drop``, ``return``, or ``jump`` or ``goto`` to `target`.
    """

    ports: tuple[tuple[int, int], ...] | None
    certain: bool
    action: str
    target: str = ""

    def about(self, port: int) -> bool:
        return self.ports is None or any(low <= port <= high for low, high in self.ports)


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules in order.

    :param policy: of a chain that packets enter by themselves; empty for the others.
    """

    rules: tuple[Rule, ...]
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Firewall:
    """All chains, by table and name; those with a policy are entered at input."""

    chains: Mapping[str, Chain]

    @classmethod
    def of_nft(cls, text: str) -> "Firewall | None":
        """Read ``nft -j list ruleset``; None for what is no such thing."""
        try:
            listed = json.loads(text)["nftables"]
            return cls(_nft_chains(listed))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    @classmethod
    def of_iptables(cls, text: str) -> "Firewall":
        """Read ``iptables-save``."""
        return cls(_iptables_chains(text))

    def passage(self, port: int) -> Passage:
        """Return what becomes of a connection to a port: every chain at input must let it in."""
        seen = [self._walk(name, port, 0) for name, chain in self.chains.items() if chain.policy]
        for worst in (Passage.BLOCKED, Passage.UNSURE):
            if worst in seen:
                return worst
        return Passage.OPEN

    def _walk(self, name: str, port: int, depth: int) -> Passage | None:
        """Return how a chain decides; None where it leaves that to the chain it was called from."""
        chain = self.chains.get(name)
        if chain is None or depth > _DEEPEST:
            return None
        unsure = False
        for rule in chain.rules:
            if not rule.about(port):
                continue
            decided = _FINAL.get(rule.action)
            if rule.action in ("jump", "goto"):
                decided = self._walk(rule.target, port, depth + 1)
                if decided is None and rule.action == "goto" and rule.certain:
                    break
            elif rule.action == "return" and rule.certain:
                break
            if decided is None:
                continue
            if rule.certain and decided is not Passage.UNSURE:
                return Passage.UNSURE if unsure and decided is Passage.BLOCKED else decided
            unsure = True
        if not chain.policy:
            return Passage.UNSURE if unsure else None
        blocked = chain.policy == "drop"
        if unsure:
            return Passage.UNSURE
        return Passage.BLOCKED if blocked else Passage.OPEN


_FINAL = {"accept": Passage.OPEN, "drop": Passage.BLOCKED, "reject": Passage.BLOCKED}


def _nft_chains(listed: Iterable[Any]) -> dict[str, Chain]:
    rules: dict[str, list[Rule]] = {}
    policies: dict[str, str] = {}
    for item in listed:
        if chain := item.get("chain"):
            key = _key(chain, chain["name"])
            rules.setdefault(key, [])
            if chain.get("hook") == "input" and chain.get("type") == "filter":
                policies[key] = chain.get("policy", "accept")
        elif rule := item.get("rule"):
            read = _nft_rule(rule)
            if read is not None:
                rules.setdefault(_key(rule, rule["chain"]), []).append(read)
    return {key: Chain(tuple(found), policies.get(key, "")) for key, found in rules.items()}


def _key(of: Mapping[str, Any], chain: str) -> str:
    return f"{of.get('family')} {of.get('table')} {chain}"


def _nft_rule(rule: Mapping[str, Any]) -> Rule | None:
    """Return a rule; None for one that never concerns a new TCP connection from elsewhere."""
    ports: tuple[tuple[int, int], ...] | None = None
    certain = True
    for step in rule.get("expr", ()):
        [(word, said)] = step.items()
        if word == "match":
            verdict = _nft_match(said)
            if verdict is False:
                return None
            if isinstance(verdict, tuple):
                ports = verdict
            elif verdict is None:
                certain = False
        elif word in ("accept", "drop", "reject", "return"):
            return Rule(ports, certain, word)
        elif word in ("jump", "goto"):
            return Rule(ports, certain, word, _key(rule, said["target"]))
        elif word not in ("counter", "log", "limit"):
            certain = False
    return None


def _nft_match(said: Mapping[str, Any]) -> bool | tuple[tuple[int, int], ...] | None:
    """Return whether a match holds; the ports that it holds for; None where that is unknown."""
    right, op = said.get("right"), said.get("op", "==")
    plain = op in ("==", "in")
    kind, key = _looks_at(said.get("left"))
    if key == "dport":
        if kind not in ("tcp", "th"):
            return False
        ranges = _ports(right)
        return ranges if plain else _outside(ranges)
    if kind == "ct" and key == "state" and plain:
        return "new" in json.dumps(right)
    if key in ("iifname", "iif"):
        return False if right == "lo" and plain else None
    if key in ("l4proto", "nexthdr", "protocol"):
        return ("tcp" in json.dumps(right) or right == 6) is plain
    return None


def _looks_at(left: Any) -> tuple[str, str]:
    """Return what a match looks at: where, and what there."""
    for kind, said in left.items() if isinstance(left, dict) else ():
        if isinstance(said, dict):
            field = str(said.get("field") or said.get("key") or "")
            return str(said.get("protocol", kind)), field
    return "", ""


def _ports(right: Any) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    several = right.get("set", [right]) if isinstance(right, dict) else right
    for one in several if isinstance(several, list) else [several]:
        low, high = one["range"] if isinstance(one, dict) and "range" in one else (one, one)
        if isinstance(low, int) and isinstance(high, int):
            found.append((low, high))
    return tuple(found)


def _outside(ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found, low = [], 0
    for first, last in sorted(ranges):
        found.append((low, first - 1))
        low = last + 1
    return (*found, (low, 65535))


def _iptables_chains(text: str) -> dict[str, Chain]:
    rules: dict[str, list[Rule]] = {}
    policies: dict[str, str] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif table == "filter" and line.startswith(":"):
            name, policy, *_ = [*line[1:].split(), "", ""]
            rules.setdefault(name, [])
            if name == "INPUT":
                policies[name] = policy.lower()
        elif table == "filter" and line.startswith("-A "):
            read = _iptables_rule(line)
            if read is not None:
                rules.setdefault(read[0], []).append(read[1])
    return {name: Chain(tuple(found), policies.get(name, "")) for name, found in rules.items()}


def _iptables_rule(line: str) -> tuple[str, Rule] | None:
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    ports: tuple[tuple[int, int], ...] | None = None
    certain = "!" not in words
    chain, action, target = words[1] if len(words) > 1 else "", "", ""
    pairs = dict(zip(words[2:], [*words[3:], ""], strict=False))
    for word, value in pairs.items():
        if word in ("--dport", "--dports", "--destination-port"):
            ports = tuple(_iptables_range(part) for part in value.split(","))
        elif (word in _STATES and "NEW" not in value) or (
            word in _PROTOCOLS and value not in ("tcp", "all", "6")
        ):
            return None
        elif word in ("-i", "--in-interface"):
            if value == "lo":
                return None
            certain = False
        elif word in ("-j", "-g"):
            action, target = value.lower(), value
        elif word.startswith("-") and word not in _SAID:
            certain = False
    if action in ("accept", "drop", "reject", "return"):
        return chain, Rule(ports, certain, action)
    verb = "goto" if "-g" in pairs else "jump"
    return (chain, Rule(ports, certain, verb, target)) if target else None


_STATES = ("--state", "--ctstate")
_PROTOCOLS = ("-p", "--protocol")
_SAID = {"-m", "--comment", "--reject-with", *_STATES, *_PROTOCOLS}


def _iptables_range(part: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})(?::(\d{1,5}))?", part)
    return (int(found[1]), int(found[2] or found[1])) if found else (-1, -1)
