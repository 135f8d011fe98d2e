"""Many runs, kept on disk one by one: whoever kills a campaign loses the run that it was in.

A campaign is a directory: ``campaign.json`` has the plans of all its runs, and each run has a
directory of its own with its plan, its evidence, its journal, and what everybody said.
"""

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from postcopy.bench.faults.evidence import Evidence
from postcopy.bench.faults.execute import Patience, execute
from postcopy.bench.faults.floor import Floor
from postcopy.bench.faults.judge import Fate, Ruling, judge
from postcopy.bench.faults.model import RunPlan
from postcopy.bench.faults.timings import Timing, read_journal, timings
from postcopy.errors import NotFoundError, UsageError
from postcopy.migration.journal import Journal
from postcopy.paths import state_dir

__all__ = ["Campaign", "Result", "campaigns_dir", "read_plan", "to_dict"]

_TRIES = 3
_PLAN, _EVIDENCE = "plan.json", "evidence.json"


def campaigns_dir() -> Path:
    """Return where campaigns are kept."""
    return state_dir() / "bench" / "faults"


def read_plan(path: Path) -> RunPlan:
    """Read the plan of a run, from its file or from the directory that it is in.

    :raises NotFoundError: when there is none.
    :raises UsageError: when it is something else.
    """
    if path.is_dir():
        path /= _PLAN
    try:
        return RunPlan.from_dict(json.loads(path.read_text()))
    except OSError as error:
        raise NotFoundError(
            f"there is no plan of a run at {path}: {error.strerror}",
            hint=f"each run of a campaign keeps one, in {campaigns_dir()}/*/*/{_PLAN}",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is not the plan of a run: {error}", hint="give the plan.json of a run"
        ) from error


@dataclass(frozen=True, slots=True)
class Result:
    """One run, done.

    :ivar timings: of its cuts in post-copy.
    :ivar false_alarms: how often a connection was broken off that was not dead.
    """

    plan: RunPlan
    evidence: Evidence
    ruling: Ruling
    timings: Sequence[Timing]
    false_alarms: int
    directory: Path

    @property
    def seconds(self) -> float:
        """How long it took, without its guest's start."""
        return self.evidence.ended_at - self.evidence.started_at


class Campaign:
    """A directory of runs.

    :param directory: made by `begin`, or found by `of` or `unfinished`.
    """

    def __init__(self, directory: Path, plans: Sequence[RunPlan]) -> None:
        self.directory = directory
        self.plans = tuple(plans)

    @classmethod
    def begin(cls, plans: Sequence[RunPlan]) -> "Campaign":
        """Make a new campaign of these runs."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        directory = campaigns_dir() / f"{stamp}-seed{plans[0].seed}"
        directory.mkdir(parents=True)
        text = json.dumps({"plans": [plan.to_dict() for plan in plans]})
        (directory / "campaign.json").write_text(text)
        return cls(directory, plans)

    @classmethod
    def load(cls, directory: Path) -> "Campaign":
        """Read what `begin` wrote."""
        data = json.loads((directory / "campaign.json").read_text())
        return cls(directory, [RunPlan.from_dict(plan) for plan in data["plans"]])

    @classmethod
    def of(cls, plans: Sequence[RunPlan]) -> "Campaign | None":
        """Return the newest campaign of these runs and no others, done or not."""
        return next((one for one in cls._newest_first() if one.plans == tuple(plans)), None)

    @classmethod
    def unfinished(cls) -> "Campaign | None":
        """Return the newest campaign that has runs left to do."""
        return next((one for one in cls._newest_first() if one.left), None)

    @classmethod
    def _newest_first(cls) -> Iterator["Campaign"]:
        for path in sorted(campaigns_dir().glob("*/campaign.json"), reverse=True):
            yield cls.load(path.parent)

    @property
    def left(self) -> list[RunPlan]:
        """The runs that are not done, in order."""
        return [plan for plan in self.plans if not (self._of(plan) / _EVIDENCE).exists()]

    def results(self) -> list[Result]:
        """Return the runs that are done, in order."""
        done = (plan for plan in self.plans if (self._of(plan) / _EVIDENCE).exists())
        return [self._result(plan) for plan in done]

    async def run(
        self,
        floors: Sequence[Floor],
        patience: Patience | None = None,
        *,
        progress: Callable[[str], None] = lambda stage: None,
        done: Callable[[Result], None] = lambda result: None,
    ) -> None:
        """Do what is left of it, on floors of one kind that work side by side.

        :param done: called with each run that is done.
        """
        waiting = [plan for plan in self.left if plan.floor == floors[0].name]
        if not waiting:
            return
        try:
            await asyncio.gather(*(floor.up(progress) for floor in floors))
            async with asyncio.TaskGroup() as group:
                for floor in floors:
                    group.create_task(self._work(floor, waiting, patience, progress, done))
        finally:
            await asyncio.shield(asyncio.gather(*(floor.down() for floor in floors)))

    async def _work(
        self,
        floor: Floor,
        waiting: list[RunPlan],
        patience: Patience | None,
        progress: Callable[[str], None],
        done: Callable[[Result], None],
    ) -> None:
        while waiting:
            plan = waiting.pop(0)
            progress(str(plan))
            evidence = await self._once(floor, plan, patience)
            for _ in range(_TRIES - 1):
                if judge(evidence).fate is not Fate.UNTRIED:
                    break
                # What a run before it broke of the lab must not count against this one.
                progress(f"{plan.name} again, in a new lab: {evidence.trouble}")
                await floor.up(lambda stage: None)
                evidence = await self._once(floor, plan, patience)
            text = json.dumps(evidence.to_dict(), indent=1, default=str)
            (self._of(plan) / _EVIDENCE).write_text(text)
            done(self._result(plan))
            if evidence.left and waiting:
                progress(f"a new lab, because of {plan.name}: {evidence.left}")
                await floor.up(lambda stage: None)

    async def _once(self, floor: Floor, plan: RunPlan, patience: Patience | None) -> Evidence:
        directory = self._of(plan)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        (directory / _PLAN).write_text(json.dumps(plan.to_dict(), indent=1))
        return await execute(floor, plan, directory, patience)

    def _of(self, plan: RunPlan) -> Path:
        return self.directory / plan.name

    def _result(self, plan: RunPlan) -> Result:
        directory = self._of(plan)
        evidence = Evidence.from_dict(json.loads((directory / _EVIDENCE).read_text()))
        found, false_alarms = _timings(directory / "journal.sqlite", evidence)
        return Result(plan, evidence, judge(evidence), found, false_alarms, directory)


def _timings(journal: Path, evidence: Evidence) -> tuple[list[Timing], int]:
    if not journal.exists():
        return [], 0  # whatever moved the guest keeps none
    with Journal(journal) as kept:
        return timings(*read_journal(kept), evidence.marks)


def to_dict(results: Iterable[Result]) -> list[dict[str, object]]:
    """Return runs as plain values, for JSON."""
    return [
        {
            "run": result.plan.name,
            "plan": result.plan.to_dict(),
            "fate": result.ruling.fate,
            "why": result.ruling.why,
            "unavoidable": result.ruling.unavoidable,
            "failed": result.ruling.failed,
            "seconds": result.seconds,
            "timings": [asdict(timing) for timing in result.timings],
            "false_alarms": result.false_alarms,
            "directory": str(result.directory),
        }
        for result in results
    ]
