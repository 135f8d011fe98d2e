"""A domain's second QMP monitor: libvirt holds the first, and answers nobody while QEMU hangs.

It is given to a domain through ``<qemu:commandline>``, as a socket in a directory that QEMU may
write to, and is there from the domain's next start, on whichever host it runs then.
"""

import re
import xml.etree.ElementTree as ET
from xml.sax.saxutils import quoteattr

from postcopy.errors import RefusedError

__all__ = [
    "NAMESPACE",
    "default_path",
    "monitor_of",
    "monitor_xml",
    "with_monitor",
    "without_monitor",
]

NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
_ID = "postcopy-rescue"


def default_path(name: str) -> str:
    """Return where the second monitor of a domain of that name is put."""
    return f"/var/lib/libvirt/qemu/postcopy-{re.sub(r'[^A-Za-z0-9._-]', '_', name)}.monitor"


def monitor_of(xml: str) -> str | None:
    """Return the path of a domain's second monitor, if its definition has one."""
    for argument in ET.fromstring(xml).iter(f"{{{NAMESPACE}}}arg"):
        value = argument.get("value", "")
        if value.startswith(f"socket,id={_ID},"):
            options = dict(part.partition("=")[::2] for part in value.split(","))
            return options.get("path") or None
    return None


def monitor_xml(path: str) -> str:
    """Return ``<qemu:arg>`` elements for a second monitor at that path."""
    arguments = (
        *("-chardev", f"socket,id={_ID},path={path},server=on,wait=off"),
        *("-mon", f"chardev={_ID},mode=control"),
    )
    return "".join(f"    <qemu:arg value={quoteattr(value)}/>\n" for value in arguments)


def with_monitor(xml: str, path: str) -> str:
    """Return a definition, as libvirt writes it, with a second monitor; one that has it as it is.

    Nothing else is changed, not even the order of lines.

    :raises RefusedError: when it is not as libvirt writes definitions.
    """
    if monitor_of(xml) is not None:
        return xml
    added = monitor_xml(path)
    if "</qemu:commandline>" in xml:
        changed = xml.replace("  </qemu:commandline>", f"{added}  </qemu:commandline>", 1)
    else:
        block = f"  <qemu:commandline>\n{added}  </qemu:commandline>\n</domain>"
        changed = block.join(xml.rsplit("</domain>", 1))
        if "xmlns:qemu=" not in xml:
            changed = changed.replace("<domain ", f"<domain xmlns:qemu='{NAMESPACE}' ", 1)
    try:
        if monitor_of(changed) == path:
            return changed
    except ET.ParseError:
        pass
    raise RefusedError(
        "this domain's definition is not as libvirt writes them",
        hint="add the second monitor by hand: virsh edit",
    )


def without_monitor(xml: str) -> str:
    """Undo `with_monitor`."""
    path = monitor_of(xml)
    if path is None:
        return xml
    wanted = [re.escape(value) for value in re.findall(r"value=\"([^\"]*)\"", monitor_xml(path))]
    pattern = "".join(rf"[ \t]*<qemu:arg value=['\"]{value}['\"]/>\n" for value in wanted)
    changed = re.sub(pattern, "", xml, count=1)
    return re.sub(r"[ \t]*<qemu:commandline>\s*</qemu:commandline>\n", "", changed)
