"""Packet filters, as nft and iptables-save print them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.libvirt.readiness.firewall import Firewall, Passage

PORT = 49152
ACCEPT: dict[str, Any] = {"accept": None}
DROP: dict[str, Any] = {"drop": None}


def match(left: object, right: object, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def dport(right: object, op: str = "==", protocol: str = "tcp") -> dict[str, Any]:
    return match({"payload": {"protocol": protocol, "field": "dport"}}, right, op)


def state(*names: str) -> dict[str, Any]:
    return match({"ct": {"key": "state"}}, list(names), "in")


def saddr() -> dict[str, Any]:
    return match({"payload": {"protocol": "ip", "field": "saddr"}}, "192.0.2.1")


def nft(*rules: list[dict[str, Any]], policy: str = "accept", more: object = ()) -> str:
    table = {"family": "inet", "table": "filter"}
    chain = {**table, "name": "input", "type": "filter", "hook": "input", "policy": policy}
    listed: list[Any] = [{"metainfo": {}}, {"table": {}}, {"chain": chain}]
    listed += [{"rule": {**table, "chain": "input", "expr": rule}} for rule in rules]
    return json.dumps({"nftables": [*listed, *more]})  # type: ignore[misc]


OTHER = (
    {"chain": {"family": "inet", "table": "filter", "name": "vms"}},
    {"rule": {"family": "inet", "table": "filter", "chain": "vms",
              "expr": [dport({"range": [49152, 49215]}), ACCEPT]}},
)  # fmt: skip
JUMP = {"jump": {"target": "vms"}}
LO = match({"meta": {"key": "iifname"}}, "lo")
ETH = match({"meta": {"key": "iifname"}}, "eth0")


@pytest.mark.parametrize(
    ("text", "passage"),
    [
        (nft(), "open"),
        (nft(policy="drop"), "blocked"),
        (nft([dport(22), ACCEPT], policy="drop"), "blocked"),
        (nft([dport({"range": [49152, 49215]}), ACCEPT], policy="drop"), "open"),
        (nft([dport({"set": [22, {"range": [49000, 50000]}]}), ACCEPT], policy="drop"), "open"),
        (nft([dport({"range": [49152, 49215]}), {"counter": {}}, DROP]), "blocked"),
        (nft([dport({"range": [49152, 49215]}), {"reject": {}}]), "blocked"),
        (nft([dport(22, "!="), DROP]), "blocked"),
        (nft([dport(PORT, "!="), DROP]), "open"),
        (nft([dport(PORT, protocol="udp"), DROP]), "open"),
        (nft([state("established", "related"), ACCEPT], policy="drop"), "blocked"),
        (nft([state("new"), dport(PORT), ACCEPT], policy="drop"), "open"),
        (nft([LO, ACCEPT], policy="drop"), "blocked"),
        (nft([ETH, ACCEPT], policy="drop"), "unsure"),
        (nft([saddr(), DROP]), "unsure"),
        (nft([saddr(), DROP], [ACCEPT]), "open"),
        (nft([JUMP], policy="drop", more=OTHER), "open"),
        (nft([ETH, JUMP], policy="drop", more=OTHER), "unsure"),
        (nft([{"goto": {"target": "vms"}}], policy="drop", more=OTHER), "open"),
        (nft([{"return": None}], [DROP]), "open"),
        (nft([match({"meta": {"key": "l4proto"}}, "udp"), DROP]), "open"),
        (nft([match({"meta": {"key": "l4proto"}}, "tcp"), DROP]), "blocked"),
    ],
)
def test_nft(text: str, passage: str) -> None:
    found = Firewall.of_nft(text)
    assert found is not None
    assert found.passage(PORT) == passage


def test_a_chain_that_calls_itself_ends() -> None:
    own = {"jump": {"target": "input"}}
    found = Firewall.of_nft(nft([own], policy="drop"))
    assert found is not None
    assert found.passage(PORT) is Passage.BLOCKED


IPTABLES = """\
*nat
:INPUT DROP [0:0]
COMMIT
*filter
:INPUT {policy} [0:0]
:FORWARD DROP [0:0]
:LIBVIRT - [0:0]
{rules}
COMMIT
"""


@pytest.mark.parametrize(
    ("policy", "rules", "passage"),
    [
        ("ACCEPT", "", "open"),
        ("DROP", "", "blocked"),
        ("DROP", "-A INPUT -i lo -j ACCEPT", "blocked"),
        ("DROP", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "blocked"),
        ("DROP", "-A INPUT -p tcp -m tcp --dport 49152:49215 -j ACCEPT", "open"),
        ("DROP", "-A INPUT -p udp -m udp --dport 49152:49215 -j ACCEPT", "blocked"),
        ("DROP", "-A INPUT -p tcp -m multiport --dports 22,49152:49215 -j ACCEPT", "open"),
        ("DROP", "-A INPUT -s 192.0.2.0/24 -p tcp -j ACCEPT", "unsure"),
        ("DROP", "-A INPUT -j LIBVIRT\n-A LIBVIRT -p tcp --dport 49152 -j ACCEPT", "open"),
        ("ACCEPT", "-A INPUT -p tcp --dport 49152:49215 -j REJECT --reject-with tcp-reset",
         "blocked"),
        ("ACCEPT", '-A INPUT -m comment --comment "no one" -j DROP', "blocked"),
        ("ACCEPT", "-A INPUT -j LOG\n-A FORWARD -j DROP", "open"),
        ("ACCEPT", "-A INPUT -j RETURN\n-A INPUT -j DROP", "open"),
        ("ACCEPT", '-A INPUT --comment "not closed -j DROP', "open"),
    ],
)  # fmt: skip
def test_iptables(policy: str, rules: str, passage: str) -> None:
    found = Firewall.of_iptables(IPTABLES.format(policy=policy, rules=rules))
    assert found.passage(PORT) == passage


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["tcp", "lo", "drop", ""]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["nftables", "rule", "chain", "expr", "match", "left", "right", "set", "range"]
            ),
            inner,
        )
    ),
)


@given(st.lists(json_values))
def test_no_ruleset_is_too_strange(values: list[Any]) -> None:
    found = Firewall.of_nft(json.dumps({"nftables": values}))
    assert found is None or found.passage(PORT) in Passage


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    Firewall.of_nft(text)
    assert Firewall.of_iptables(f"*filter\n:INPUT DROP\n-A {text}\n{text}").passage(PORT)
