"""Shows a migration while it runs: a live panel on a terminal, plain lines elsewhere."""

import sys
import time
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import click

from postcopy.forecast.refit import time_left
from postcopy.migration.decision import History
from postcopy.migration.event import (
    Acted,
    Decided,
    Event,
    Noted,
    PhaseChanged,
    Recovered,
    SampleTaken,
)
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample
from postcopy.units import format_bytes, format_rate, format_seconds

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Display", "LiveDisplay", "PlainDisplay", "Silent", "display_for"]

# Drawing costs more than supervising: this keeps a terminal fluent and the processor free.
_DRAW_SECONDS = 0.25
_LINE_SECONDS = 2.0


class Display(Protocol):
    """Something that shows events; used as a context."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def __call__(self, event: Event) -> None: ...


def display_for(
    guest: str,
    destination: str,
    format_: str,
    *,
    downtime_limit: float = 0.3,
    may_switch: bool = True,
) -> Display:
    """Choose: nothing for programs, a panel on a terminal, lines elsewhere.

    :param downtime_limit: and
    :param may_switch: whether post-copy may end it: for the time that is left.
    """
    if format_ != "table":
        return Silent()
    left = _TimeLeft(downtime_limit, may_switch)
    return (LiveDisplay if sys.stderr.isatty() else PlainDisplay)(guest, destination, left)


class _TimeLeft:
    """The forecast's time until the end, refitted with each sample."""

    def __init__(self, downtime_limit: float = 0.3, may_switch: bool = True) -> None:
        self._history = History(downtime_limit)
        self._may_switch = may_switch

    def add(self, sample: Sample) -> None:
        self._history.add(sample)

    def __str__(self) -> str:
        seconds = time_left(self._history, may_switch=self._may_switch)
        return f"{format_seconds(seconds)} to go" if seconds is not None else ""


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def __call__(self, event: Event) -> None:
        pass


class PlainDisplay(Silent):
    """A line for whatever changes, and one for progress every other second, on stderr."""

    def __init__(self, guest: str, destination: str, left: _TimeLeft | None = None) -> None:
        self._title = f"{guest} -> {destination}"
        self._left = left or _TimeLeft()
        self._started = time.monotonic()
        self._next_line = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, SampleTaken):
            self._left.add(event.sample)
            if time.monotonic() < self._next_line or event.sample.phase.terminal:
                return
            self._next_line = time.monotonic() + _LINE_SECONDS
            self._line(_progress(event.sample, str(self._left)))
        elif isinstance(event, Noted):
            self._line(f"note: {event.text}")
        else:
            self._line(event.text)

    def _line(self, text: str) -> None:
        click.echo(f"[{time.monotonic() - self._started:7.2f} s] {self._title}: {text}", err=True)


def _progress(sample: Sample, left: str) -> str:
    if sample.phase is Phase.SETUP:
        return sample.status or str(sample.phase)
    parts = [
        str(sample.phase),
        f"pass {sample.pass_number}",
        f"{format_bytes(sample.remaining_bytes)} left",
        format_rate(sample.bandwidth),
    ]
    return ", ".join(filter(None, (*parts, left)))


class LiveDisplay(Silent):
    """A panel that is redrawn a few times a second, on stderr."""

    def __init__(self, guest: str, destination: str, left: _TimeLeft | None = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self._title = f"{guest} -> {destination}"
        self._left = left or _TimeLeft()
        self._sample: Sample | None = None
        self._decision = ""
        self._started = time.monotonic()
        self._next_draw = 0.0
        # Drawn on samples, not by a thread of its own: both would wake up for the same news.
        self._live = Live(console=Console(stderr=True), auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._draw()
        self._live.__exit__(kind, value, traceback)

    def __call__(self, event: Event) -> None:
        match event:
            case SampleTaken(sample=sample):
                ended = not sample.total_bytes and sample.phase is not Phase.SETUP
                if self._sample is not None and ended:
                    # A migration that has ended may have no figures any more.
                    sample = replace(self._sample, phase=sample.phase)
                self._left.add(sample)
                self._sample = sample
            case Decided(text=text):
                self._decision = text
            case Acted(text=text):
                self._decision += f" ({text})"
            case Recovered(text=text):
                self._decision = ""  # the line above is the news, and stands there for good
                self._live.console.print(text, markup=False)
                self._next_draw = 0.0
            case Noted(text=text):
                self._live.console.print(f"note: {text}", markup=False)
            case PhaseChanged():
                self._next_draw = 0.0
        if time.monotonic() >= self._next_draw:
            self._draw()
            self._next_draw = time.monotonic() + _DRAW_SECONDS

    def _draw(self) -> None:
        if self._sample is not None:
            self._live.update(self._panel(self._sample), refresh=True)

    def _panel(self, sample: Sample) -> "Table":
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        total = max(sample.total_bytes, 1)
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            Text(self._title, style="bold"),
            Text(str(sample.phase), style=_STYLES.get(sample.phase, "")),
            ProgressBar(total=total, completed=total - sample.remaining_bytes, width=40),
            f"{format_seconds(time.monotonic() - self._started)}",
        )
        if sample.phase is Phase.SETUP:
            return _stacked(grid, sample.status)
        grid.add_row(
            f"{format_bytes(sample.remaining_bytes)} left",
            f"pass {sample.pass_number}",
            f"{format_rate(sample.bandwidth)} sent, {format_rate(sample.dirty_rate)} dirtied",
            str(self._left),
        )
        return _stacked(grid, self._decision)


def _stacked(grid: "Table", text: str) -> "Table":
    from rich.table import Table
    from rich.text import Text

    outer = Table.grid()
    outer.add_row(grid)
    outer.add_row(Text(text, style="dim"))
    return outer


_STYLES = {
    Phase.PRECOPY: "blue",
    Phase.SWITCHOVER: "magenta",
    Phase.POSTCOPY: "yellow",
    Phase.PAUSED: "bold red",
    Phase.COMPLETED: "green",
    Phase.ASTRAY: "bold red",
    Phase.FAILED: "bold red",
    Phase.CANCELLED: "red",
}
