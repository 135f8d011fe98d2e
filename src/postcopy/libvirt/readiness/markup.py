"""XML from hosts, read with suspicion: no document types, no entities, no exceptions."""

import re
import xml.etree.ElementTree as ET

__all__ = ["parse"]

_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")
"""A document type, and with it any entity: libvirt writes neither."""


def parse(text: str) -> ET.Element | None:
    """Return the root element; None for what is not XML, or not as libvirt writes it."""
    if _DECLARATION.search(text):
        return None
    try:
        return ET.fromstring(text.strip())
    except (ET.ParseError, ValueError):
        return None
