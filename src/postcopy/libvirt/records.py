"""What libvirt remembers of a domain that has moved: put right where a broken migration left it.

A migration that was interrupted is over for libvirt, also if its QEMUs went on. The last steps,
which define the domain at its new host and undefine it at the old one, are then nobody's.
"""

import libvirt

from postcopy.errors import NotFoundError, PostcopyError
from postcopy.libvirt.connection import Connection

__all__ = ["put_right"]


async def put_right(
    source: Connection | None,
    destination: Connection,
    uuid: str,
    *,
    persistent: bool,
    undefine: bool,
) -> list[str]:
    """Define a domain that runs at its destination there, and undefine it at the source.

    Looks before it acts: only one that runs at the destination, and not at the source, is touched.

    :param persistent: whether it is to be defined at the destination.
    :param undefine: whether it is to be undefined at the source.
    :returns: what was done, and what could not be, in words.
    """
    there = await destination.find(uuid)
    if there is None or not await destination.call(there.isActive):
        return []
    told = []
    try:
        if persistent and not await destination.call(there.isPersistent):
            flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
            xml = await destination.call(there.XMLDesc, flags)
            await destination.call(destination.handle.defineXML, xml)
            told.append(f"defined at {destination.uri}, which its interrupted migration left out")
        here = await source.find(uuid) if undefine and source is not None else None
        if here is not None and source is not None and not await source.call(here.isActive):
            await source.call(here.undefineFlags, libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)
            told.append(f"undefined at {source.uri}, which its interrupted migration left out")
    except NotFoundError:
        pass  # libvirt was faster
    except PostcopyError as error:
        told.append(f"libvirt's records are not as they should be: {error.message}")
    return told
