"""``postcopy policies``."""

import inspect
from typing import Any

import click

from postcopy.cli.output import format_option, print_data, print_table
from postcopy.policy import POLICIES, Parameter, find, parameters_of

__all__ = ["policies"]


@click.command()
@click.argument("name", required=False)
@format_option
def policies(name: str | None, format_: str) -> None:
    """List the rules for when to switch, or NAME alone, with their parameters.

    Give parameters as in --policy nova:completion_timeout=15,timeout_action=force_complete
    """
    chosen = [find(name).name] if name else list(POLICIES)
    print_data(
        [_data(each) for each in chosen],
        format_,
        lambda: print_table(
            ("policy", "parameter", "default", "what it is"),
            [row for each in chosen for row in _rows(each)],
        ),
    )


def _data(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "does": _does(name),
        "parameters": [
            {
                "name": each.name,
                "type": each.kind.__name__,
                "default": each.default,
                "least": each.least if each.kind in (int, float) else None,
                "choices": list(each.choices) or None,
                "what": each.text,
            }
            for each in parameters_of(POLICIES[name])
        ],
    }


def _rows(name: str) -> list[tuple[str, ...]]:
    known = parameters_of(POLICIES[name])
    return [
        (name, "", "", _does(name)),
        *(("", each.name, _default(each), each.text) for each in known),
    ]


def _does(name: str) -> str:
    """Return the first sentences of the rule's own module: what it does."""
    module = inspect.getmodule(POLICIES[name])
    return (inspect.getdoc(module) or "").split("\n\n")[0].replace("\n", " ").replace("``", "")


def _default(parameter: Parameter) -> str:
    if isinstance(parameter.default, bool):
        return "yes" if parameter.default else "no"
    return "none" if parameter.default is None else str(parameter.default)
