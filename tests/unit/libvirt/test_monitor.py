"""A domain's definition with and without its second monitor."""

import xml.etree.ElementTree as ET

import libvirt
import pytest

from postcopy.libvirt.look import Half as Seen
from postcopy.libvirt.monitor import default_path, monitor_of, with_monitor, without_monitor
from postcopy.libvirt.rescue import half_of
from postcopy.migration.recovery import Half

PLAIN = """<domain type='kvm'>
  <name>web1</name>
  <devices>
    <graphics type='vnc' passwd='secret'/>
  </devices>
</domain>
"""
WITH_OTHERS = """<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>web1</name>
  <qemu:commandline>
    <qemu:arg value='-no-hpet'/>
  </qemu:commandline>
</domain>
"""


@pytest.mark.parametrize("xml", [PLAIN, WITH_OTHERS])
def test_a_second_monitor_is_added_and_taken_away_without_a_trace(xml: str) -> None:
    path = default_path("web1")
    changed = with_monitor(xml, path)
    assert monitor_of(changed) == path
    assert with_monitor(changed, "/elsewhere") == changed
    assert [line for line in xml.splitlines()[1:] if line not in changed.splitlines()] == []
    taken = without_monitor(changed)
    assert ET.canonicalize(taken) == ET.canonicalize(xml)
    # libvirt writes values in single quotes.
    assert without_monitor(changed.replace('"', "'")) == taken


def test_a_domain_without_one_is_left_alone() -> None:
    assert without_monitor(WITH_OTHERS) == WITH_OTHERS
    assert monitor_of(PLAIN) is None


def test_a_name_makes_no_other_path() -> None:
    assert default_path("../../etc/x,y") == "/var/lib/libvirt/qemu/postcopy-.._.._etc_x_y.monitor"


RUNNING, PAUSED = libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_PAUSED


@pytest.mark.parametrize(
    ("source", "seen", "half"),
    [
        (True, Seen(True, PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY), Half.ACTIVE),
        (True, Seen(True, PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED), Half.PAUSED),
        (True, Seen(True, PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER), Half.UNKNOWN),
        (True, Seen(True, RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED), Half.UNKNOWN),
        (True, Seen(True), Half.GONE),
        (
            True,
            Seen(True, libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED),
            Half.DONE,
        ),
        (
            True,
            Seen(True, libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED),
            Half.GONE,
        ),
        (True, Seen(False), Half.SILENT),
        (False, Seen(True, RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY), Half.ACTIVE),
        (False, Seen(True, RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY_FAILED), Half.PAUSED),
        (False, Seen(True, RUNNING, libvirt.VIR_DOMAIN_RUNNING_MIGRATED), Half.DONE),
        (False, Seen(True, libvirt.VIR_DOMAIN_SHUTOFF), Half.GONE),
    ],
)
def test_words_of_libvirt(source: bool, seen: Seen, half: Half) -> None:
    assert half_of(seen, source=source) is half
