"""The libvirt floor: domains moved between any two libvirt hosts. Start with `LibvirtDriver`.

`postcopy.libvirt.readiness` says whether hosts, pairs of them and domains are ready for that; it
does without the bindings, so names that need those are loaded when they are first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from postcopy.libvirt.connection import Connection
    from postcopy.libvirt.driver import LibvirtDriver
    from postcopy.libvirt.options import LibvirtOptions

__all__ = ["LibvirtDriver", "LibvirtOptions", "Connection"]

_PLACES = {"LibvirtDriver": "driver", "LibvirtOptions": "options", "Connection": "connection"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
