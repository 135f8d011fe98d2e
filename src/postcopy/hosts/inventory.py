"""The hosts of an Ansible inventory, as Ansible itself tells where it is installed.

Without it, INI and YAML inventories are read here, for what it takes to reach hosts: groups and
their children, ``ansible_host``, ``ansible_user``, ``ansible_port`` and the key's file. What is
next to the inventory (``host_vars``, ``group_vars``) and templates are Ansible's alone.
"""

import asyncio
import fnmatch
import json
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from postcopy import processes
from postcopy.errors import NotFoundError, UsageError
from postcopy.hosts.spec import HostSpec, LocalSpec, ssh_spec

__all__ = ["COMPUTE_GROUPS", "Inventory", "parse", "read"]

COMPUTE_GROUPS = ("compute", "nova_compute")
"""Where Kolla and OpenStack-Ansible have the hosts that guests run on."""

_SECONDS = 60.0
_MOST_HOSTS = 10_000
_RANGE = re.compile(r"\[(\w+):(\w+)(?::(\d+))?\]", re.ASCII)


@dataclass(slots=True)
class Group:
    """A group: its own hosts, and the groups in it."""

    hosts: list[str] = field(default_factory=list)
    children: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Inventory:
    """Groups and hosts' own variables, by name."""

    groups: dict[str, Group] = field(default_factory=dict)
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)

    def group(self, name: str) -> Group:
        """Return a group, which comes to be where there was none."""
        return self.groups.setdefault(name, Group())

    def members(self, name: str) -> list[str]:
        """Return the hosts of a group and of all groups in it, each once."""
        found: dict[str, None] = {}
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            group = waiting.pop(0)
            if group not in seen:
                seen.add(group)
                found |= dict.fromkeys(self.groups.get(group, Group()).hosts)
                waiting += self.groups.get(group, Group()).children
        return list(found)

    @property
    def hosts(self) -> list[str]:
        """All hosts, each once."""
        named = (host for group in self.groups.values() for host in group.hosts)
        return list(dict.fromkeys([*named, *self.variables]))

    def select(self, limit: str | None = None) -> list[str]:
        """Return the hosts that a pattern of Ansible's means: ``compute,!node-7``.

        :param limit: without one, the hosts that guests run on, where a group is known for them.
        :raises NotFoundError: when it means none.
        """
        if limit is None:
            known = [name for name in COMPUTE_GROUPS if self.members(name)]
            return self.members(known[0]) if known else self.hosts
        found: dict[str, None] = {}
        terms = [term.strip() for term in re.split(r"[,:](?![^\[]*\])", limit) if term.strip()]
        # As Ansible does: first what is in, then what must be too, then what is out.
        for term in sorted(terms, key=lambda term: "&!".find(term[0])):
            matched = self._matched(term.lstrip("!&"))
            if term[0] == "!":
                found = {host: None for host in found if host not in matched}
            elif term[0] == "&":
                found = {host: None for host in found if host in matched}
            else:
                found |= dict.fromkeys(matched)
        if not found:
            groups = ", ".join(sorted(self.groups)) or "none"
            raise NotFoundError(f"no host of the inventory matches {limit!r}",
                                hint=f"its groups are: {groups}")  # fmt: skip
        return list(found)

    def spec(self, name: str) -> HostSpec:
        """Return how a host is reached.

        :raises UsageError: when the inventory says something that cannot be.
        """
        said = {**self._inherited(name), **self.variables.get(name, {})}
        if said.get("ansible_connection") == "local":
            return LocalSpec(name)

        def value(*keys: str) -> str | None:
            for key in keys:
                if (text := said.get(key)) is not None:
                    if "{{" in str(text):
                        raise UsageError(
                            f"host {name}: {key} is a template, {text}",
                            hint="install Ansible: its ansible-inventory knows what it stands for",
                        )
                    return str(text)
            return None

        port = value("ansible_port", "ansible_ssh_port")
        if port is not None and not re.fullmatch(r"\d{1,5}", port, re.ASCII):
            raise UsageError(f"host {name}: ansible_port is {port!r}", hint="a port is a number")
        return ssh_spec(
            name,
            value("ansible_host", "ansible_ssh_host") or name,
            value("ansible_user", "ansible_ssh_user"),
            int(port) if port else None,
            value("ansible_ssh_private_key_file", "ansible_private_key_file"),
        )

    def _matched(self, pattern: str) -> list[str]:
        if pattern in ("all", "*"):
            return self.hosts
        groups = fnmatch.filter(self.groups, pattern)
        inside = [host for group in groups for host in self.members(group)]
        return inside + fnmatch.filter(self.hosts, pattern)

    def _inherited(self, name: str) -> dict[str, Any]:
        """Return what groups say of a host; the smaller a group, the more its word counts."""
        groups = [(group, self.members(group)) for group in self.groups]
        mine = [(group, hosts) for group, hosts in groups if name in hosts or group == "all"]
        mine.sort(key=lambda entry: (entry[0] != "all", -len(entry[1])))
        return {key: v for group, _ in mine for key, v in self.groups[group].variables.items()}


async def read(path: Path, limit: str | None = None) -> list[HostSpec]:
    """Return how the hosts of an inventory are reached.

    :param limit: see `Inventory.select`.
    :raises NotFoundError: when there is no such file, or no such host in it.
    :raises UsageError: when it is no inventory.
    """
    text = await asyncio.to_thread(_text_of, path)
    if shutil.which("ansible-inventory"):
        done = await processes.run(
            "ansible-inventory", "-i", str(path), "--list", timeout=_SECONDS, check=False
        )
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["without a word"])[-1]
            raise UsageError(f"ansible-inventory cannot read {path}: {said}", hint=_HINT)
        inventory = parse(done.stdout)
    else:
        inventory = parse(text, str(path))
    names = inventory.select(limit)
    if not names:
        raise NotFoundError(f"the inventory {path} has no hosts", hint=_HINT)
    return [inventory.spec(name) for name in names]


_HINT = "an inventory is INI, YAML, or what `ansible-inventory --list` prints"


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(
            f"there is no inventory {path}", hint="name a file: INI, YAML or JSON"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the inventory {path}: {error}", hint=_HINT) from error


def parse(text: str, name: str = "the inventory") -> Inventory:
    """Read an inventory: what ``ansible-inventory --list`` prints, YAML, or INI.

    :raises UsageError: when it is none of these.
    """
    import yaml

    first = next((s for line in text.splitlines() if (s := line.strip()) and s[0] not in "#;"), "")
    if not first.startswith("{") and (first.startswith("[") or not first.endswith((":", "---"))):
        return _ini(text, name)
    try:
        tree = json.loads(text) if first.startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        words = " ".join(str(error).split())
        raise UsageError(f"{name} cannot be read: {words}", hint=_HINT) from error
    if not isinstance(tree, Mapping):
        raise UsageError(f"{name} has no groups at its top", hint=_HINT)
    return _listed(tree) if "_meta" in tree else _yaml(tree)


def _listed(tree: Mapping[str, Any]) -> Inventory:
    found = Inventory()
    meta = _mapping(_mapping(tree["_meta"]).get("hostvars"))
    found.variables = {str(host): dict(_mapping(said)) for host, said in meta.items()}
    for name, about in tree.items():
        if name != "_meta":
            group = found.group(str(name))
            group.hosts = [str(host) for host in _list(_mapping(about).get("hosts"))]
            group.children = [str(child) for child in _list(_mapping(about).get("children"))]
            group.variables = dict(_mapping(_mapping(about).get("vars")))
    return found


def _yaml(tree: Mapping[str, Any]) -> Inventory:
    found = Inventory()
    waiting: list[tuple[str, Mapping[str, Any]]] = [(str(k), _mapping(v)) for k, v in tree.items()]
    seen = 0
    while waiting and seen < _MOST_HOSTS:
        seen += 1
        name, about = waiting.pop(0)
        group = found.group(name)
        group.variables |= _mapping(about.get("vars"))
        for pattern, said in _mapping(about.get("hosts")).items():
            for host in _expand(str(pattern)):
                group.hosts.append(host)
                found.variables.setdefault(host, {}).update(_mapping(said))
        for child, inner in _mapping(about.get("children")).items():
            group.children.append(str(child))
            waiting.append((str(child), _mapping(inner)))
    return found


def _ini(text: str, name: str) -> Inventory:
    found = Inventory()
    section, kind = "ungrouped", "hosts"
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if header := re.fullmatch(r"\[([^\[\]:]+)(?::(children|vars))?\]\s*(?:[#;].*)?", line):
            section, kind = header[1], header[2] or "hosts"
            found.group(section)
            continue
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise UsageError(f"line {number} of {name}: {error}", hint=_HINT) from error
        group = found.group(section)
        if kind == "children":
            group.children += words[:1]
        elif kind == "vars":
            key, _, value = line.partition("=")
            group.variables[key.strip()] = value.strip().strip("'\"")
        elif any("=" not in word for word in words[1:]) or "=" in words[0]:
            raise UsageError(f"line {number} of {name} is no host: {line[:80]}", hint=_HINT)
        else:
            said = dict(word.split("=", 1) for word in words[1:])
            for host in _expand(words[0]):
                plain, port = _port(host)
                group.hosts.append(plain)
                found.variables.setdefault(plain, {}).update({**port, **said})
    return found


def _port(host: str) -> tuple[str, dict[str, str]]:
    plain, colon, port = host.partition(":")
    return (plain, {"ansible_port": port}) if colon and port.isdigit() else (host, {})


def _expand(pattern: str) -> Iterator[str]:
    """Yield the hosts that ``node[01:20]`` stands for."""
    parts: list[Sequence[str]] = []
    end = 0
    for match in _RANGE.finditer(pattern):
        parts += [[pattern[end : match.start()]], _between(match[1], match[2], match[3] or "1")]
        end = match.end()
    parts.append([pattern[end:]])
    for number, words in enumerate(product(*parts)):
        if number >= _MOST_HOSTS:
            break
        yield "".join(words)


def _between(first: str, last: str, step: str) -> list[str]:
    by = int(step) or 1
    if first.isdigit() and last.isdigit():
        upto = min(int(last), int(first) + by * _MOST_HOSTS)
        return [str(number).zfill(len(first)) for number in range(int(first), upto + 1, by)]
    if len(first) == len(last) == 1:
        return [chr(code) for code in range(ord(first), ord(last) + 1, by)]
    raise UsageError(f"[{first}:{last}] is no range of hosts", hint="write [01:20] or [a:f]")


def _mapping(raw: object) -> Mapping[str, Any]:
    return raw if isinstance(raw, Mapping) else {}


def _list(raw: object) -> list[Any]:
    return raw if isinstance(raw, list) else []
