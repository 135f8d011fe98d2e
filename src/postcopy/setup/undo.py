"""Taking back what a record says was done: the very bytes, modes and owners."""

from collections.abc import Callable, Mapping

from postcopy.errors import UnavailableError
from postcopy.hosts import HostAccess
from postcopy.setup.apply import run_command, same_host
from postcopy.setup.delta import ConflictError, Delta
from postcopy.setup.files import HostFiles
from postcopy.setup.guard import check_restart
from postcopy.setup.record import Kind, Record, State, Step

__all__ = ["undo"]

Progress = Callable[[str], None]

_TO_UNDO = (State.DOING, State.DONE, State.UNDOING)


async def undo(
    record: Record, hosts: Mapping[str, HostAccess], progress: Progress = lambda _: None
) -> list[str]:
    """Take back what was done: files, then commands, each the last first, then restarts.

    It may be killed and run again.

    :returns: what is not as it was, and why: files that were changed meanwhile, services that do
        not start with what they had.
    :raises RefusedError: when a restart could hurt a guest, or another machine answers.
    :raises UnavailableError: when a host does not answer, or a command fails.
    """
    await same_host(record, hosts)
    for name in record.hosts:
        for restart in record.steps:
            if restart.host == name and restart.kind is Kind.RESTART and restart.state in _TO_UNDO:
                await check_restart(hosts[name], restart.service)
    left = []
    for step in _in_order(record):
        if step.state not in _TO_UNDO:
            continue
        progress(f"{step.host}: taking back {step}")
        step.state = State.UNDOING
        record.save()
        try:
            step.state = await _undo(step, hosts[step.host])
        except UnavailableError as error:
            if step.kind is not Kind.RESTART:
                raise
            # As it was before: what is there again may be what set-up had mended.
            step.state = State.LEFT
            left.append(f"{step.service} does not start with what is there again: {error}")
            continue
        finally:
            record.save()
        if step.state is State.LEFT:
            left.append(f"{step.path} of host {step.host} was changed since, and is left as it is")
    return left


def _in_order(record: Record) -> list[Step]:
    ordered = []
    for name in reversed(record.hosts):
        mine = [step for step in record.steps if step.host == name]
        for kind in (Kind.FILE, Kind.COMMAND):
            ordered += [step for step in reversed(mine) if step.kind is kind]
        ordered += [step for step in mine if step.kind is Kind.RESTART]
    return ordered


async def _undo(step: Step, host: HostAccess) -> State:
    if step.kind is Kind.FILE:
        return State.UNDONE if await _undo_file(step, HostFiles(host)) else State.LEFT
    if step.kind is Kind.COMMAND:
        if step.undo:
            await run_command(host, step.undo)
    else:
        await check_restart(host, step.service)
        await HostFiles(host).restart(step.service)
    return State.UNDONE


async def _undo_file(step: Step, files: HostFiles) -> bool:
    """Give a file back what it held; False where it holds something that is not ours."""
    if step.keep and step.before is not None:
        return await files.put_back(step.path, step.keep, expected=step.after, before=step.before)
    if step.before is None:
        return await files.remove(step.path, expected=step.after, parents=step.parents)
    held = (await files.look([step.path]))[step.path]
    if held.sha256 == step.before:
        await files.tidy(step.path)
        return True
    if held.sha256 != step.after:
        return False
    try:
        before = Delta.from_list(step.delta or []).reversed().apply(held.text() or "")
    except ConflictError:
        return False
    return await files.write(
        step.path, before.encode(), expected=step.after, mode=step.mode, owner=step.owner,
        group=step.group, parents=step.parents,
    )  # fmt: skip
