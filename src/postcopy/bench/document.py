"""Puts the results on record into a document: ``python -m postcopy.bench.document FILE``.

What lies between ``<!-- results: SUITE -->`` and ``<!-- end -->`` is written anew for each suite
that has a record, and its picture is put beside the document, in ``images/``. So no figure in a
document was ever typed, and none is older than the others of its suite.
"""

import re
import sys
from pathlib import Path

from postcopy.bench.analysis import analyse
from postcopy.bench.compare import records_directory
from postcopy.bench.markdown import to_markdown
from postcopy.bench.page import write_pages
from postcopy.bench.record import Record
from postcopy.bench.suite import find_suite
from postcopy.errors import UsageError

__all__ = ["main", "with_results"]

_BLOCK = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    """Write the results into the documents that are named; the result is the exit code."""
    for name in arguments:
        path = Path(name)
        text = path.read_text(encoding="utf-8")
        path.write_text(with_results(text, path.parent / "images"), encoding="utf-8")
    return 0 if arguments else UsageError.exit_code


def with_results(text: str, images: Path) -> str:
    """Return a document with the results that are on record; a suite without any keeps its own.

    :param images: where pictures go.
    """

    def results(block: re.Match[str]) -> str:
        name = block[2]
        path = records_directory() / f"{name}.jsonl"
        if not path.exists():
            return block[0]
        suite, record = find_suite(name), Record(path)
        repeats = max(run.repeat for run in record.runs) + 1
        analysis = analyse(suite.in_order(record.runs), suite.price, suite.figure)
        _, picture = write_pages(path.with_suffix(".html"), suite, record.about, analysis)
        images.mkdir(exist_ok=True)
        shown = images / f"bench-{name}.png"
        shown.write_bytes(picture.read_bytes())
        table = to_markdown(suite, record.about, analysis, repeats)
        return f"{block[1]}\n![{suite.about}](images/{shown.name})\n\n{table}\n{block[3]}"

    return _BLOCK.sub(results, text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
