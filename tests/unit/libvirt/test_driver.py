"""The libvirt driver, as far as libvirt's test driver goes."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from postcopy.errors import PostcopyError
from postcopy.libvirt.driver import LibvirtDriver
from postcopy.libvirt.options import LibvirtOptions

URI = "test:///default"


async def test_a_migration_that_libvirt_does_not_call_off_was_not_called_off() -> None:
    """Should it fail later, that is a failure. libvirt's test driver has no such call."""
    driver = LibvirtDriver("test", URI, URI, LibvirtOptions())
    await driver._ends.connect()
    uuid = (await driver._ends.source.domain("test")).UUIDString()
    driver._facts = cast(Any, SimpleNamespace(uuid=uuid))
    with pytest.raises(PostcopyError):
        await driver.cancel()
    assert not driver._following.cancelled
    await driver.close()
