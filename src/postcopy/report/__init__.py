"""The page about one run or several: self-contained HTML, and the same as JSON.

Start with `RunReport.from_journal`, then `write_page`. What is known of a run (`data`) is laid out
in time (`timeline`) and put into words (`summary`); `charts` describes the figures and `page` fills
the template, whose parts are the files ``page.html``, ``page.css`` and ``page.js``; ``frame.html``
and the look are those of the benchmarks' pages, too (`document`).

altair, vl-convert and jinja2 are imported when a page is written and not before.
"""

from postcopy.report.data import GuestFacts, RunReport
from postcopy.report.page import write_page
from postcopy.report.plain import to_json

__all__ = ["RunReport", "GuestFacts", "write_page", "to_json"]
