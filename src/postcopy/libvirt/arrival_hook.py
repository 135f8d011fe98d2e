"""A hook of libvirt's: whatever migrates to this host arrives with a second QMP monitor.

libvirt hands it the definition of a domain that is about to arrive, and takes what it prints in its
place (https://libvirt.org/hooks.html, ``migrate begin``); where it prints nothing, the definition
stays. It counts while the domain runs here. ``postcopy guest prepare-host`` has put it here; it
takes Python 3.9 or newer and nothing else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

__all__ = ["changed", "main"]

_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
_ID = "postcopy-rescue"


def changed(name: str, xml: str) -> str:
    """Return a definition with a second monitor; nothing where it has one, or cannot have one."""
    if f"socket,id={_ID}," in xml or not re.search(r"<domain [^>]*type='(kvm|qemu)'", xml):
        return ""
    path = f"/var/lib/libvirt/qemu/postcopy-{re.sub(r'[^A-Za-z0-9._-]', '_', name)}.monitor"
    words = (
        *("-chardev", f"socket,id={_ID},path={path},server=on,wait=off"),
        *("-mon", f"chardev={_ID},mode=control"),
    )
    arguments = "".join(f"    <qemu:arg value='{word}'/>\n" for word in words)
    if "</qemu:commandline>" in xml:
        return xml.replace("  </qemu:commandline>", f"{arguments}  </qemu:commandline>", 1)
    block = f"  <qemu:commandline>\n{arguments}  </qemu:commandline>\n</domain>"
    xml = block.join(xml.rsplit("</domain>", 1))
    if "xmlns:qemu=" not in xml:
        xml = xml.replace("<domain ", f"<domain xmlns:qemu='{_NAMESPACE}' ", 1)
    return xml


def main(arguments: Sequence[str]) -> None:
    """Answer libvirt: the domain's name, what happens to it, and at which stage."""
    if list(arguments[1:3]) == ["migrate", "begin"]:
        sys.stdout.write(changed(arguments[0], sys.stdin.read()))


if __name__ == "__main__":
    main(sys.argv[1:])
