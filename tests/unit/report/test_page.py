import json
import math
import re
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from postcopy.errors import PostcopyError
from postcopy.migration import Journal, Phase, Sample
from postcopy.policy import Precopy
from postcopy.report import GuestFacts, RunReport, to_json, write_page
from postcopy.report.page import render_page
from tests.unit.report.conftest import Mover

NASTY = """<script>alert(1)</script> "><img src=x onerror=alert(2)> </style>'&amp;{{ 7 * 7 }}"""


class Page(HTMLParser):
    """What a browser's parser would make of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: dict[str, str] = {}
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = (dict(attrs).get("id") or "script") if tag == "script" else tag

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and self._within:
            self.scripts[self._within] = self.scripts.get(self._within, "") + data
        elif self._within != "style":
            self.text += data

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.scripts["postcopy-data"])
        return data


def test_a_page_shows_verdict_figures_and_decisions(move: Mover, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "page.html"
    write_page(path, "Two runs", [move(Precopy(give_up_after=2)), move()], "side by side")
    page = Page(path.read_text())
    assert "busy arrived on beta in 5.97 s. Its memory is intact" in page.text
    assert "passes do not shrink: 96.0 MB -> 96.0 MB" in page.text
    assert "side by side" in page.text
    assert [a["data-run"] for _, a in page.elements if "data-run" in a] == ["0", "1"]
    assert path.stat().st_size < 1_500_000
    assert list(path.parent.iterdir()) == [path]


def test_names_and_reasons_stay_text(move: Mover) -> None:
    report = move(name=NASTY)
    report = replace(report, events=[*report.events, (report.run.started_at, "Noted", NASTY)])
    plain = Page(render_page("t", [move()]))
    page = Page(render_page(NASTY, [report], NASTY))
    assert page.text.count(NASTY) >= 4  # heading, subtitle, verdict, note
    assert page.data["runs"][0]["run"]["guest"] == NASTY
    kinds = [tag for tag, _ in page.elements]
    assert kinds.count("script") == [tag for tag, _ in plain.elements].count("script")
    assert "img" not in kinds
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]


def test_nothing_points_outside(move: Mover) -> None:
    page = Page(render_page("t", [move()]))
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "poster", "data")
    ]
    assert addresses == ["data:,"]  # an empty icon, so that no browser asks for one
    style = render_page("t", [move()]).partition("</style>")[0]
    assert not re.search(r"@import|url\(", style)


def test_the_pages_own_policy_lets_only_its_scripts_run(move: Mover) -> None:
    page = Page(render_page("t", [move()]))
    (policy,) = [a["content"] for _, a in page.elements if a.get("http-equiv")]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert policy.count("'sha256-") == 2
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2]


def test_the_data_is_the_same_as_to_json(move: Mover) -> None:
    runs = [move()]
    page = Page(render_page("t", runs))
    assert page.data == json.loads(json.dumps(to_json(runs)))
    (run,) = page.data["runs"]
    assert run["figures"]["limit_ratio"] == 1.28
    assert run["verdict"]["tone"] == "good"
    assert [phase["phase"] for phase in run["phases"]] == ["precopy", "postcopy"]
    assert "secret" not in json.dumps(page.data)


def test_json_has_no_infinities(move: Mover) -> None:
    report = move(facts=GuestFacts(limit_ratio=math.inf, guest_seconds_lost=math.nan))
    json.dumps(to_json([report]), allow_nan=False)
    assert "Infinity" not in json.dumps(Page(render_page("t", [report])).data)


def test_a_run_without_samples_still_has_its_page(journal: Journal) -> None:
    run = journal.begin(
        guest="g", source="a", destination="b", policy="adaptive", driver={}, started_at=1e9
    )
    page = Page(render_page("t", [RunReport.from_journal(journal, run.id)]))
    assert "there is nothing to draw" in page.text
    assert "not on record" in page.text
    assert not [a for _, a in page.elements if "data-run" in a]


def test_a_page_of_no_runs(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", "Nothing", [])
    assert "There is no run" in (tmp_path / "page.html").read_text()


def test_a_run_of_unknown_phases(journal: Journal) -> None:
    run = journal.begin(
        guest="g", source="a", destination="b", policy="adaptive", driver={}, started_at=100.0
    )
    samples = [
        Sample(at=100.0 + number, phase=phase, total_bytes=9, remaining_bytes=9 - number)
        for number, phase in enumerate([Phase.UNKNOWN, Phase.PRECOPY, Phase.UNKNOWN])
    ]
    page = Page(render_page("t", [RunReport(run, samples, [])]))
    assert "unknown from 0.00 to 1.00 seconds" in str(page.elements)


def test_names_that_are_not_utf8(move: Mover, tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", "t\udce9t", [move()])
    assert "t?t" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_long_run_stays_light_and_its_spike_visible(move: Mover) -> None:
    report = move()
    start = report.run.started_at
    samples = [
        Sample(
            at=start + number / 20,
            phase=Phase.PRECOPY,
            pass_number=1 + number // 50,
            pass_ended_at=start + number / 20 if number % 50 == 0 else None,
            total_bytes=10**12,
            remaining_bytes=10**11 + number * 7919 % 10**9,
            bandwidth=1.25e9 + number % 1000,
            dirty_rate=9e8 + number % 777,
        )
        for number in range(60_000)
    ]
    samples[31_337] = replace(samples[31_337], bandwidth=9e9)
    events = [
        (start + number / 20, "Decided", f"continue: {number} of many reasons to go on")
        for number in range(20_000)
    ]
    progress = [(start + number / 10, number % 997) for number in range(30_000)]
    long = replace(report, samples=samples, events=events, progress=progress)
    text = render_page("t", [long, long])
    assert len(text.encode()) < 1_500_000
    page = Page(text)
    assert "events in the middle are left out" in page.text
    for series in page.data["runs"][0]["series"].values():
        assert len(series["seconds"]) == len(series["values"]) <= 2000
    assert 9e9 in page.data["runs"][0]["series"]["bandwidth"]["values"]
    assert len(to_json([long])["runs"][0]["events"]) == 20_000


def test_runs_of_similar_length_share_a_time_axis(move: Mover) -> None:
    short, called_off = move(), move(Precopy(give_up_after=4))
    page = Page(render_page("t", [short, called_off]))
    figures = json.loads(page.scripts["postcopy-figures"])
    assert figures["domains"][0] == figures["domains"][1]
    hours = replace(short, progress=[], samples=[
        replace(sample, at=short.run.started_at + 3600.0 * number)
        for number, sample in enumerate(short.samples)
    ])  # fmt: skip
    page = Page(render_page("t", [short, hours]))
    figures = json.loads(page.scripts["postcopy-figures"])
    assert figures["domains"][0] != figures["domains"][1]


def test_a_place_that_cannot_be_written_is_explained(move: Mover, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PostcopyError, match="cannot write the page") as caught:
        write_page(tmp_path / "file" / "page.html", "t", [move()])
    assert "writable" in caught.value.hint


def test_a_page_is_whole_or_not_there(move: Mover, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.mkdir()  # so that putting the finished file in its place fails
    with pytest.raises(PostcopyError, match=r"page\.html"):
        write_page(path, "t", [move()])
    assert list(tmp_path.glob(".page*")) == []


def test_importing_is_cheap() -> None:
    code = (
        "import sys, postcopy.report; print({'altair', 'vl_convert', 'jinja2'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


def test_writing_again_is_quick(move: Mover, tmp_path: Path) -> None:
    runs = [move(), move()]
    write_page(tmp_path / "page.html", "t", runs)
    began = time.monotonic()
    write_page(tmp_path / "page.html", "t", runs)
    assert time.monotonic() - began < 1.0
