"""The probe as one file, and its answer.

The program is made of the modules that run on hosts, word for word, and of a few lines that hand
them to Python's own import; it goes to the host's Python through its standard input.
"""

import ast
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from postcopy.errors import UnavailableError
from postcopy.hosts.access import HostAccess
from postcopy.probe.main import BEGIN, END, FORMAT

__all__ = ["ProbeError", "modules", "parse", "probe", "program"]

SECTIONS: Mapping[str, str] = {
    "kernel": "postcopy.kernel.probe",
    "qemu": "postcopy.qemu.probe",
    "libvirt": "postcopy.libvirt.readiness.probe",
    "nova": "postcopy.nova.probe",
}
"""What has the `collect` of each section; it may import other modules that run on hosts."""

TOGETHER: Mapping[str, str] = {
    "libvirt-listen": "postcopy.libvirt.readiness.listen",
    "libvirt-dial": "postcopy.libvirt.readiness.dial",
    "libvirt-arrive": "postcopy.libvirt.readiness.arrive",
}
"""The same of what hosts do for each other, told what they must know of the other one."""

_MAIN = "postcopy.probe.main"

_PYTHON = ("python3", "-I", "-S", "-")
_ROOM_SECONDS = 5.0
"""How much longer than the probe's own time its start and its transport may take."""

# Without importlib.abc, which the smallest Pythons of distributions do not have whole.
_LOADER = """
import importlib.machinery, sys
class Loader:
    def find_spec(self, name, path=None, target=None):
        package = any(module.startswith(name + ".") for module in MODULES)
        if package or name in MODULES:
            return importlib.machinery.ModuleSpec(name, self, is_package=package)
    def get_source(self, name):
        return MODULES.get(name, "")
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        name = module.__spec__.name
        exec(compile(self.get_source(name), name, "exec"), module.__dict__)
sys.dont_write_bytecode = True
sys.meta_path.insert(0, Loader())
"""


class ProbeError(UnavailableError):
    """A host gave no answer that can be read."""


def program(request: Mapping[str, Any]) -> str:
    """Return the text of the program that answers a request.

    :param request: see `postcopy.probe.main.main`.
    """
    known = {**SECTIONS, **TOGETHER}
    wanted = {name: module for name, module in known.items() if name in request}
    sources = modules(tuple(wanted.values()))
    return "\n".join(
        [
            f"MODULES = {sources!a}",
            _LOADER,
            "import importlib, json",
            "from postcopy.probe.main import main",
            f"sections = {{k: importlib.import_module(m).collect for k, m in {wanted!r}.items()}}",
            f"main(sections, json.loads({json.dumps(request)!r}))",
        ]
    )


@functools.cache
def modules(sections: tuple[str, ...]) -> dict[str, str]:
    """Return the sources of sections' modules and of all that they import, by name."""
    found: dict[str, str] = {}
    waiting = [_MAIN, *sections]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _source(name)
            waiting += [other for other in _imports(found[name]) if other.startswith("postcopy.")]
    return dict(sorted(found.items()))


def _source(name: str) -> str:
    # Read, not imported: a floor's own `__init__` may need what only this machine has.
    *package, module = name.split(".")
    root = Path(__file__).parent.parent
    return root.joinpath(*package[1:], f"{module}.py").read_text(encoding="utf-8")


def _imports(source: str) -> set[str]:
    """Return the modules that a source imports; ``from a import b`` is ``a.b`` if that is one."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found = {name for name in inner if _is_module(name)}
            names |= found or {node.module}
    return names


def _is_module(name: str) -> bool:
    *package, module = name.split(".")
    root = Path(__file__).parent.parent
    return package[:1] == ["postcopy"] and root.joinpath(*package[1:], f"{module}.py").exists()


async def probe(
    host: HostAccess, request: Mapping[str, Any], python: Sequence[str] = _PYTHON
) -> dict[str, Any]:
    """Have a host answer a request.

    :returns: the answer as `postcopy.probe.main` describes it.
    :raises ProbeError: when there is none, or it cannot be read.
    :raises UnavailableError: when the host cannot be reached.
    """
    seconds = float(request.get("seconds", 20.0)) + _ROOM_SECONDS
    done = await host.run(*python, stdin=program(request), seconds=seconds)
    return parse(host.name, done.stdout, done.stderr)


def parse(host: str, out: str, err: str = "") -> dict[str, Any]:
    """Read an answer out of what a host printed.

    :raises ProbeError: when it is not there whole, or of another format.
    """
    before, begin, rest = out.partition(BEGIN + "\n")
    text, end, _ = rest.rpartition("\n" + END)
    said = (err.strip() or before.strip()).splitlines()[-1:]
    reason = f": {said[0][:200]}" if said else ""
    if not begin:
        raise ProbeError(
            f"host {host} gave no answer to the probe{reason}",
            hint=f"has it a Python 3.9 or newer? try on {host}: python3 -V",
        )
    try:
        answer = json.loads(text) if end else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("sections"), dict):
        raise ProbeError(
            f"host {host} gave an answer that cannot be read: it is not whole{reason}",
            hint="was the connection lost? run it again",
        )
    if answer.get("probe") != FORMAT:
        raise ProbeError(
            f"host {host} answered in format {answer.get('probe')!r}, not {FORMAT}",
            hint="something else than this program has answered",
        )
    return answer
