"""Scenarios as people write them, and the guests that come of them."""

import pytest

from postcopy.bench.scenario import FLOORS, WORKLOADS, Scenario
from postcopy.errors import UsageError

MIB = 1 << 20


def test_what_people_write_has_units() -> None:
    read = Scenario.parse(
        {"workload": "hot", "share": 25, "memory": "256MiB", "link": "1gbit", "vcpus": 2}
    )

    assert read == Scenario(
        workload="hot", share=25, memory_bytes=256 * MIB, link=125_000_000, vcpus=2
    )
    assert read.hot_bytes == 64 * MIB
    assert read.traits == ("hot 25 %", "256 MiB", "1 Gbit/s", "2 vCPUs", "qemu")
    assert Scenario.parse({"workload": "idle", "link": "unshaped"}).link is None


@pytest.mark.parametrize(
    ("workload", "cold", "hot", "rate", "pattern"),
    [
        ("idle", 128, 0, 0, "random"),
        ("reader", 128, 0, 0, "reads"),
        ("writer", 64, 64, 4096, "random"),
        ("hot", 64, 64, 0, "random"),
        ("bursts", 64, 64, 0, "bursts:30:4000"),
        ("sequential", 32, 96, 0, "sequential"),
    ],
)
def test_each_workload_is_one_of_the_witness(
    workload: str, cold: int, hot: int, rate: int, pattern: str
) -> None:
    found = Scenario(workload=workload).workload_spec

    assert (found.cold_mib, found.hot_mib) == (cold, hot)
    assert (found.rate, found.pattern) == (rate, pattern)


def test_a_server_has_the_memory_that_it_is_given_to_hold() -> None:
    guest = Scenario(workload="redis", memory_bytes=64 * MIB).guest_spec("g")

    assert (guest.service, guest.data_bytes) == ("redis", 64 * MIB)
    assert guest.memory_mib > 64 * 1.4 + 112
    assert guest.workload.hot_mib == 0


@pytest.mark.parametrize("server", ["redis", "postgresql"])
def test_a_server_is_the_same_guest_on_either_floor(server: str) -> None:
    bare, domain = (Scenario.parse({"workload": server, "floor": on}) for on in FLOORS)

    assert bare.guest_spec("g") == domain.guest_spec("g")
    assert bare.name != domain.name


def test_several_vcpus_have_a_writer_each() -> None:
    guest = Scenario(workload="hot", vcpus=4).guest_spec("g")

    assert (guest.vcpus, guest.workload.writers) == (4, 4)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "without a workload"),
        ({"workload": "mysql"}, "no workload 'mysql'"),
        ({"workload": "hot", "colour": "red"}, "no 'colour'"),
        ({"workload": "hot", "share": "half"}, "share: 'half'"),
        ({"workload": "hot", "share": 120}, "share of 120"),
        ({"workload": "hot", "share": True}, "share: True"),
        ({"workload": "idle", "share": 20}, "share means nothing"),
        ({"workload": "hot", "rate": "1gbit"}, "rate means nothing"),
        ({"workload": "hot", "duty": 30}, "duty means nothing"),
        ({"workload": "bursts", "duty": 300}, "bursts:300:4000"),
        ({"workload": "hot", "memory": 128}, "memory: 128"),
        ({"workload": "hot", "memory": "1MiB"}, "too little"),
        ({"workload": "hot", "link": "0mbit"}, "not above zero"),
        ({"workload": "hot", "link": "fast"}, "not a rate"),
        ({"workload": "hot", "queue": "codel"}, "there is no queue 'codel'"),
        ({"workload": "hot", "link": "unshaped", "queue": "fair"}, "a link without a rate"),
        ({"workload": "hot", "vcpus": 0}, "0 writers"),
        ({"workload": "hot", "vcpus": 1.5}, "vcpus: 1.5"),
        ({"workload": "hot", "floor": "nova"}, "no floor 'nova'"),
        ({"workload": "hot", "downtime_limit": -1}, "downtime limit of -1"),
    ],
)
def test_nonsense_is_named(data: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as error:
        Scenario.parse(data)

    assert words in error.value.message
    assert error.value.hint


def test_it_comes_back_from_its_record_with_a_name_of_its_own() -> None:
    some = [Scenario(workload=workload) for workload in WORKLOADS]
    some += [
        Scenario(workload="hot", share=25),
        Scenario(workload="hot", link=None),
        Scenario(workload="hot", queue="fair"),
        Scenario(workload="hot", vcpus=2),
        Scenario(workload="hot", floor="libvirt"),
        Scenario(workload="hot", downtime_limit=0.1),
        Scenario(workload="writer", rate=8 * MIB),
        Scenario(workload="bursts", period_seconds=2.0),
    ]

    assert [Scenario.from_dict(one.to_dict()) for one in some] == some
    assert len({one.name for one in some}) == len(some)
