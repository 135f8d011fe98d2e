"""The page of a suite, and its picture."""

import json
import re
from dataclasses import replace
from pathlib import Path

from postcopy.bench.analysis import Analysis, analyse
from postcopy.bench.charts import labels_of
from postcopy.bench.page import write_pages
from postcopy.bench.record import Latency
from postcopy.bench.scenario import Scenario
from postcopy.bench.suite import Suite
from postcopy.migration.outcome import Fate

from .runs import HOT, IDLE, measured

SUITE = Suite.parse(
    "small",
    {
        "about": "<b>small</b>",
        "methods": ["adaptive", "moment:passes=1", "precopy"],
        "scenarios": [{"workload": "idle"}, {"workload": "hot", "share": 50}],
    },
)


def analysed() -> Analysis:
    runs = []
    for scenario in (IDLE, HOT):
        for repeat in range(3):
            runs += [
                measured("adaptive", repeat, 5.0, 0.6, scenario=scenario),
                measured("moment:passes=1", repeat, 5.0, 0.5, scenario=scenario),
                measured("precopy", repeat, 20.0, 0.4, scenario=scenario, fate=Fate.CANCELLED),
            ]
    return analyse(runs, price=0.1)


def test_the_page_stands_alone_with_table_picture_and_data(tmp_path: Path) -> None:
    about = {"qemu": "10.0.13", "processors": 2}

    page, picture = write_pages(tmp_path / "deep" / "small.html", SUITE, about, analysed())

    text = page.read_text()
    assert "&lt;b&gt;small&lt;/b&gt;" in text
    assert not re.search(r"(?:src|href)=\"(?!data:)", text)
    assert "http:" not in re.sub(r"http://www\.w3\.org/\S+", "", text)
    assert "<svg" in text
    assert "var(--time)" in text
    assert HOT.name in text
    assert "QEMU 10.0.13" in text
    assert "1.10" in text  # 1.1 against the oracle's 1.0
    assert "&gt; 2.40" in text  # given up at 2.4
    found = re.search(r'id="postcopy-data">(.*?)</script>', text, re.DOTALL)
    assert found
    assert json.loads(found[1])["scenarios"][0]["oracle"] == "moment:passes=1"
    assert picture == page.with_suffix(".png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "var(" not in picture.read_bytes().decode("latin-1")


def test_the_users_of_a_server_have_a_picture_and_columns_of_their_own(tmp_path: Path) -> None:
    redis = Scenario(workload="redis")
    waits = {"p50": 0.002, "p99": 0.004, "max": 0.005}
    runs = [
        replace(
            measured("adaptive", repeat, 5.0, 0.5, scenario=redis),
            latency=Latency(before=waits, during={**waits, "p99": late}, requests=900, errors=0),
        )
        for repeat, late in enumerate((0.3, 0.2, 0.4))
    ]

    page, _ = write_pages(tmp_path / "small.html", SUITE, {}, analyse(runs, price=0.1))

    text = page.read_text()
    assert "redis: its users" in text
    assert "300 ms<small>200 ms to 400 ms</small>" in text
    assert "<td>4 ms</td>" in text


def test_what_went_wrong_is_the_first_thing_said(tmp_path: Path) -> None:
    runs = [
        measured("adaptive", 0, 5.0, 0.5, intact=False),
        measured("adaptive", 1, 5.0, 0.5),
        measured("adaptive", 2, 5.0, 0.5, fate=Fate.FAILED),
    ]

    page, _ = write_pages(tmp_path / "small.html", SUITE, {}, analyse(runs, price=0.1))

    text = page.read_text()
    assert "1 of 2 guests did not come through intact" in text
    assert "1 more moves failed" in text


def test_scenarios_are_told_apart_by_what_differs() -> None:
    slow = Scenario(workload="hot", share=50, link=12_500_000)
    runs = [measured("adaptive", 0, 5.0, 0.5, scenario=each) for each in (HOT, slow)]

    assert labels_of(analyse(runs, price=0.1)) == {
        HOT.name: "hot 50 %, 400 Mbit/s",
        slow.name: "hot 50 %, 100 Mbit/s",
    }
    one = analyse(runs[:1], price=0.1)
    assert labels_of(one) == {HOT.name: "hot 50 %"}
