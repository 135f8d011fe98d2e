"""Doing what was planned, step by step, so that it may be killed at any of them.

Each step is in the record before it is begun and after it is done. `begin` looks at the hosts and
writes the record, `go_on` does what is open in one, whoever began it.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from postcopy.errors import RefusedError, UnavailableError
from postcopy.hosts import HostAccess
from postcopy.readiness import FileChange
from postcopy.setup.delta import ConflictError, Delta
from postcopy.setup.files import Held, HostFiles
from postcopy.setup.guard import check_restart
from postcopy.setup.plan import Plan
from postcopy.setup.record import Kind, Record, State, Step

__all__ = ["Begun", "LostSecretError", "begin", "go_on", "run_command", "same_host"]

_COMMAND_SECONDS = 120.0

Progress = Callable[[str], None]


class LostSecretError(RefusedError):
    """What a secret file should hold died with the process that made it: only undo is left."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A record, and what is written to its secret files, which no record holds.

    :ivar secrets: by the index of the step.
    """

    record: Record
    secrets: dict[int, bytes] = field(default_factory=dict, repr=False)


async def begin(
    plans: Sequence[Plan], hosts: Mapping[str, HostAccess], now: float, lab: str = ""
) -> Begun:
    """Look at all that will be changed, and write the record of it. Nothing is changed yet.

    :param lab: the lab that hosts with bare names are of.
    :raises RefusedError: when a file is not what the plan was made of, or a service that must be
        restarted must not be.
    """
    identities = {plan.host: await HostFiles(hosts[plan.host]).identify() for plan in plans}
    mends = sorted({id_ for plan in plans for id_ in plan.mends})
    begun = Begun(Record.begin(now, identities, mends, lab))
    for plan in plans:
        host = hosts[plan.host]
        for restart in plan.restarts:
            await check_restart(host, restart.service)
        files = HostFiles(host)
        held = await files.look([change.path for change in plan.files if not change.secret])
        secret = [change.path for change in plan.files if change.secret]
        held |= await files.look(secret, content=False)
        for change in plan.files:
            if change.secret and change.after is not None:
                begun.secrets[len(begun.record.steps)] = change.after.encode()
            begun.record.steps.append(
                _file_step(plan.host, change, held[change.path], begun.record.id)
            )
        begun.record.steps += [
            Step(
                host=plan.host, kind=Kind.COMMAND, why=command.why,
                argv=[*command.argv], undo=[*command.undo],
            )
            for command in plan.commands
        ] + [
            Step(host=plan.host, kind=Kind.RESTART, why=restart.why, service=restart.service)
            for restart in plan.restarts
        ]  # fmt: skip
    begun.record.save()
    return begun


def _file_step(host: str, change: FileChange, held: Held, id_: str) -> Step:
    step = Step(
        host=host, kind=Kind.FILE, why=change.why, path=change.path, secret=change.secret,
        before=held.sha256, mode=held.mode, owner=held.uid, group=held.gid,
        parents=[*held.parents],
        after=None if change.after is None else _digest(change.after),
    )  # fmt: skip
    if not held.there:
        step.mode, step.owner, step.group = change.mode, change.owner, change.group
    if change.secret:
        step.keep = f"{held.path}.before-{id_}" if held.there else ""
        return step
    before = held.text()
    if before != change.before:
        raise RefusedError(
            f"{change.path} of host {host} has changed since it was looked at",
            hint="nothing was done; run this again, and it is looked at anew",
        )
    step.delta = Delta.between(before or "", change.after or "").to_list()
    return step


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def go_on(
    begun: Begun, hosts: Mapping[str, HostAccess], progress: Progress = lambda _: None
) -> None:
    """Do what is open in a record, in its order. A step that fails ends it, and stays open.

    :raises LostSecretError: before anything is done, when a secret is no longer known.
    :raises RefusedError: when a file was changed meanwhile, or a restart could hurt a guest.
    :raises UnavailableError: when a host does not answer, or a command fails.
    """
    record = begun.record
    await same_host(record, hosts)
    await _know_secrets(begun, hosts)
    for index, step in enumerate(record.steps):
        if step.state not in (State.PLANNED, State.DOING):
            continue
        progress(f"{step.host}: {step}")
        step.state = State.DOING
        record.save()
        try:
            step.state = await _do(step, hosts[step.host], begun.secrets.get(index))
        finally:
            record.save()
        if step.state is State.LEFT:
            raise RefusedError(
                f"{step.path} of host {step.host} was changed by somebody else just now,"
                " and is left as it is",
                hint=f"run this again; or take the rest back: postcopy setup --undo {record.id}",
            )


async def _know_secrets(begun: Begun, hosts: Mapping[str, HostAccess]) -> None:
    for index, step in enumerate(begun.record.steps):
        if not step.secret or step.after is None or index in begun.secrets:
            continue
        if step.state in (State.PLANNED, State.DOING):
            held = (await HostFiles(hosts[step.host]).look([step.path], content=False))[step.path]
            if held.sha256 != step.after:
                raise LostSecretError(
                    f"what {step.path} of host {step.host} should hold is no longer known",
                    hint=f"take it back: postcopy setup --undo {begun.record.id}",
                )


async def same_host(record: Record, hosts: Mapping[str, HostAccess]) -> None:
    """Return if the hosts are still those that the record is about.

    :raises RefusedError: when another machine has taken the name or the address of one.
    """
    for name, known in record.hosts.items():
        now = await HostFiles(hosts[name]).identify()
        if any(now.get(key) != known.get(key) for key in ("node", "machine")):
            raise RefusedError(
                f"host {name} was {known.get('node')} when record {record.id} was written,"
                f" and is {now.get('node')} now",
                hint="another machine answers in its place, or it was installed anew",
            )


async def _do(step: Step, host: HostAccess, secret: bytes | None) -> State:
    files = HostFiles(host)
    if step.kind is Kind.COMMAND:
        await run_command(host, step.argv)
    elif step.kind is Kind.RESTART:
        await check_restart(host, step.service)
        await files.restart(step.service)
    elif step.after is None:
        keep = step.keep if step.secret else ""
        done = await files.remove(step.path, expected=step.before, keep=keep)
        return State.DONE if done else State.LEFT
    else:
        return await _write(step, files, secret)
    return State.DONE


async def _write(step: Step, files: HostFiles, secret: bytes | None) -> State:
    held = (await files.look([step.path], content=not step.secret))[step.path]
    if held.sha256 == step.after:
        return State.DONE
    if held.sha256 != step.before:
        return State.LEFT
    if step.secret:
        data = secret
    else:
        try:
            after = Delta.from_list(step.delta or []).apply(held.text() or "")
        except ConflictError:
            return State.LEFT
        data = after.encode()
    assert data is not None, "asked before anything was done"
    done = await files.write(
        step.path, data, expected=step.before, mode=step.mode, owner=step.owner, group=step.group,
        parents=step.parents, keep=step.keep,
    )  # fmt: skip
    return State.DONE if done else State.LEFT


async def run_command(host: HostAccess, argv: Sequence[str]) -> None:
    """Run a command of a plan.

    :raises UnavailableError: when it fails.
    """
    done = await host.run(*argv, seconds=_COMMAND_SECONDS)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise UnavailableError(
            f"host {host.name}: {' '.join(argv)} ended with status {done.returncode}"
            + "".join(f": {line}" for line in said),
            hint="mend what it says, then run this again: it goes on from here",
        )
