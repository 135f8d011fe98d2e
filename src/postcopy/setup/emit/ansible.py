"""A playbook of ``ansible.builtin`` alone: it needs no collection, and runs twice as once."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import yaml

from postcopy.libvirt.readiness.edit import format_value
from postcopy.readiness import FileChange
from postcopy.setup.delta import Delta
from postcopy.setup.emit.settings import settings_of
from postcopy.setup.plan import Plan

__all__ = ["dump", "emit", "playbook"]

_HEAD = """\
# What `postcopy setup` would have done, for Ansible. `postcopy check` says whether it helped.
"""


def emit(plans: Sequence[Plan]) -> dict[str, str]:
    """Return one playbook with a play for each host."""
    plays = playbook(plans)
    return {"postcopy.yml": _HEAD + dump(plays)} if plays else {}


def playbook(
    plans: Sequence[Plan], wanted: Callable[[FileChange], bool] = lambda change: True
) -> list[dict[str, Any]]:
    """Return the plays.

    :param wanted: which files; restarts are left to the caller's tool where not all are.
    """
    return [play for plan in plans if (play := _play(plan, wanted))["tasks"]]


def _play(plan: Plan, wanted: Callable[[FileChange], bool]) -> dict[str, Any]:
    files = [change for change in plan.files if wanted(change)]
    restarts = plan.restarts if len(files) == len(plan.files) else ()
    notify = [f"Restart {restart.service}" for restart in restarts]
    tasks = [task for change in files for task in _file_tasks(change, notify)]
    tasks += [
        {
            "name": _sentence(command.why),
            "ansible.builtin.command": {"argv": [*command.argv]},
            "changed_when": False,
        }
        for command in plan.commands
    ]
    if restarts and not files:
        tasks.append(
            {
                "name": "Have services restarted",
                "ansible.builtin.debug": {"msg": _sentence(restarts[0].why)},
                "changed_when": True,
                "notify": notify,
            }
        )
    return {
        "name": f"Post-copy on {plan.host}",
        "hosts": _inventory_name(plan.host),
        "become": True,
        "tasks": tasks,
        "handlers": [
            {
                "name": f"Restart {restart.service}",
                "ansible.builtin.service": {"name": restart.service, "state": "restarted"},
                # A container without an init has nobody to ask.
                "when": "ansible_facts['service_mgr'] == 'systemd'",
            }
            for restart in restarts
        ],
    }


def _file_tasks(change: FileChange, notify: Sequence[str]) -> list[dict[str, Any]]:
    name = _sentence(change.why)
    more: dict[str, Any] = {"notify": [*notify]} if notify else {}
    if change.secret:
        message = f"{change.path} is secret: issue it with your own tools, mode {change.mode:04o}"
        return [{"name": name, "ansible.builtin.debug": {"msg": message}}]
    if change.after is None:
        absent = {"path": change.path, "state": "absent"}
        return [{"name": name, "ansible.builtin.file": absent, **more}]
    if change.before is None:
        directory = {"path": change.path.rsplit("/", 1)[0] or "/", "state": "directory"}
        whole = {
            "dest": change.path,
            "content": change.after,
            "owner": change.owner,
            "group": change.group,
            "mode": f"{change.mode:04o}",
        }
        return [
            {"name": f"Make room for {change.path}", "ansible.builtin.file": directory},
            {"name": name, "ansible.builtin.copy": whole, **more},
        ]
    return [
        {"name": name, f"ansible.builtin.{module}": {"path": change.path, **edit}, **more}
        for module, edit in _edits(change)
    ]


def _edits(change: FileChange) -> list[tuple[str, dict[str, Any]]]:
    """Return edits of settings and lines, each with the module that makes it.

    Not of whole files: others may have put lines of their own into them.
    """
    settings = settings_of(change)
    if settings.kind == "libvirt":
        return [("lineinfile", _setting(key, value)) for key, value in settings.values.items()]
    if settings.kind == "nova":
        return [
            ("replace", _folded_option(key, value))
            if value is None or key in settings.folded
            else ("lineinfile", _option(key, value))
            for key, value in settings.values.items()
        ]
    return [("lineinfile", line) for line in _lines(change)]


def _lines(change: FileChange) -> list[dict[str, Any]]:
    edits: list[dict[str, Any]] = []
    for hunk in Delta.between(change.before or "", change.after or "").hunks:
        old = [line.rstrip("\n") for line in hunk.before]
        new = [line.rstrip("\n") for line in hunk.after]
        for index, line in enumerate(new):
            if index < len(old):
                edits.append({"regexp": f"^{re.escape(old[index])}$", "line": line})
            else:
                edits.append({"line": line, **_after(change, hunk.start, new[:index])})
        edits += [{"regexp": f"^{re.escape(line)}$", "state": "absent"} for line in old[len(new) :]]
    return edits


def _after(change: FileChange, start: int, new: Sequence[str]) -> dict[str, str]:
    before = (change.before or "").split("\n")[:start]
    if new:
        return {"insertafter": f"^{re.escape(new[-1])}$"}
    return {"insertafter": f"^{re.escape(before[-1])}$"} if before else {"insertbefore": "BOF"}


def _setting(key: str, value: int | str | tuple[str, ...] | None) -> dict[str, Any]:
    assigned = rf"^\s*{re.escape(key)}\s*="
    if value is None:
        return {"regexp": assigned, "state": "absent"}
    line = f"{key} = {' '.join(format_value(value).split())}"
    return {"regexp": assigned, "insertafter": rf"^#\s*{re.escape(key)}\s*=", "line": line}


def _option(key: str, value: int | str | tuple[str, ...] | None) -> dict[str, Any]:
    """Return the edit of an option of nova.conf, by its name: those of migration are unique."""
    section, _, option = key.partition("/")
    return {
        "regexp": rf"^\s*{re.escape(option)}\s*[=:]",
        "insertafter": rf"^\[{re.escape(section)}\]",
        "line": f"{option} = {value}",
    }


def _folded_option(key: str, value: int | str | tuple[str, ...] | None) -> dict[str, Any]:
    """Return the edit of one with its further lines, which would else go to the option before."""
    option = key.partition("/")[2]
    return {
        "regexp": rf"(?m)^{re.escape(option)}[ \t]*[=:].*\n(?:[ \t]+\S.*\n)*",
        "replace": "" if value is None else f"{option} = {value}\n",
    }


def _inventory_name(host: str) -> str:
    """Return what an inventory would call a host: the name without how it is reached."""
    return re.sub(r"^ssh://(?:[^@/]*@)?([^:/]+).*$", r"\1", host).replace("local", "localhost")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they stand, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    style = "|" if "\n" in data else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _string)


def dump(data: Any) -> str:
    """Return YAML as people write it."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=96, explicit_start=True)
