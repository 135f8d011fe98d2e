"""Records what a cloud of the lab answers, for the unit tests to play::

    postcopy lab up --openstack --release bookworm-openstack --lab rec
    python -m tests.unit.nova.answers.record rec tests/unit/nova/answers/nova-26
    postcopy lab down --lab rec

It takes some ten minutes; names of scenarios after the folder record those alone. The last one
leaves a cloud that no longer knows where its server is.
"""

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from postcopy.lab.lab import DEFAULT_RATE, Lab
from postcopy.lab.machine import GuestSpec
from postcopy.lab.openstack.server import LabServer
from postcopy.lab.workload import Workload
from postcopy.migration.phase import Phase
from postcopy.nova.api import NovaApi
from postcopy.nova.driver import NovaDriver
from postcopy.nova.permission import Effect, Permission

from .compute import configured, start_compute_again, until
from .scene import SERVER, Scene, after, say

BUSY = Workload(cold_mib=32, hot_mib=96)
CALM = Workload(cold_mib=32, hot_mib=32, rate=300)
SLOW = 12_500_000
"""Of the data link, in bytes a second: a busy guest does not converge over it."""
SWITCH_SECONDS = 25.0
"""From the first figures on: by then more was sent than there is."""


async def post_copy(scene: Scene) -> None:
    await scene.move("post-copy", then=after(Phase.PRECOPY, SWITCH_SECONDS, NovaDriver.switch))


async def automatic(scene: Scene) -> None:
    """Nova's own time-out, in seconds for each of the GiB, of which it counts two at least."""
    async with configured(scene.lab, scene.source, "live_migration_completion_timeout", "10"):
        await scene.move("automatic")


async def pause(scene: Scene) -> None:
    pauses = Permission(Effect.PAUSE, "it was configured so")
    switch = after(Phase.PRECOPY, 6.0, NovaDriver.switch)
    async with configured(scene.lab, scene.source, "live_migration_permit_post_copy", "false"):
        await scene.move("pause", permission=pauses, then=switch)


async def cancelled(scene: Scene) -> None:
    await scene.move("cancelled", then=after(Phase.PRECOPY, 6.0, NovaDriver.cancel))


async def failed(scene: Scene) -> None:
    """The destination's QEMU is killed."""

    async def kill(_: NovaDriver) -> None:
        await scene.lab.host(scene.destination).run("pkill", "-9", "-f", "qemu-system")

    await scene.move("failed", then=after(Phase.PRECOPY, 6.0, kill))


async def no_host(scene: Scene) -> None:
    compute = scene.connection.compute
    (there,) = compute.services(binary="nova-compute", host=scene.destination)
    await asyncio.to_thread(compute.disable_service, there)
    await scene.move("no-host", host=None)
    await asyncio.to_thread(compute.enable_service, there)


async def pre_copy(scene: Scene) -> None:
    await scene.lab.link().set_rate(DEFAULT_RATE)
    await again(scene, CALM)
    await scene.lab.link().set_rate(SLOW)
    await scene.move("pre-copy", host=None)
    await scene.lab.link().set_rate(DEFAULT_RATE)
    await again(scene, BUSY)
    await scene.lab.link().set_rate(SLOW)


async def refusals(scene: Scene) -> None:
    """What Nova will not do, with what our driver would ask it to."""
    await scene.begin("refusals")
    api, own, there = scene.api, scene.uuid, scene.destination
    stranger = str(uuid.UUID(int=1))
    await scene.example("no such server", api.live_migrate(stranger, there))
    await scene.example("no such host", api.live_migrate(own, "gamma"))
    await scene.example("there already", api.live_migrate(own, scene.source))
    await scene.example("switch: no such migration", api.force_complete(own, 4711))
    await scene.example("abort: no such migration", api.abort(own, 4711))
    await scene.example("no such microversion", scene.ask(f"/servers/{own}", "2.999"))
    await by_others(scene)
    await api.live_migrate(own, there)
    await scene.example("second: at once", api.live_migrate(own, there))
    number = int((await api.migrations(own))[0]["id"])
    await scene.example("switch: at once", api.force_complete(own, number))
    await scene.example("abort: at once", api.abort(own, number))
    if await status(scene, number, "running", "cancelled", "failed") != "running":
        say("  the early abort was obeyed: once more without")
        await at_rest(scene)
        await api.live_migrate(own, there)
        number = int((await api.migrations(own))[0]["id"])
        await status(scene, number, "running")
    await scene.example("second: in pre-copy", api.live_migrate(own, there))
    await figures(scene)
    await api.force_complete(own, number)
    await status(scene, number, "running (post-copy)")
    await scene.example("switch: in post-copy", api.force_complete(own, number))
    await scene.example("abort: in post-copy", api.abort(own, number))
    await scene.example("second: in post-copy", api.live_migrate(own, there))
    await at_rest(scene)
    await scene.example("switch: at the end", api.force_complete(own, number))
    await scene.example("abort: at the end", api.abort(own, number))
    await scene.ask(f"/servers/{own}/action", "2.1", "post", json={"os-stop": None})
    await asyncio.sleep(1.0)
    await at_rest(scene)
    await scene.example("shut off", api.live_migrate(own, scene.source))
    scene.keep()
    await again(scene, BUSY)


async def by_others(scene: Scene) -> None:
    """Ask as somebody who is no administrator, with a wrong password, and with no token at all."""
    tape, scene.recorder.tape = scene.recorder.tape, None
    identity = scene.connection.identity
    domain = identity.find_domain("Default", ignore_missing=False)
    word = uuid.uuid4().hex
    user = await asyncio.to_thread(
        lambda: identity.create_user(name=word, password=word, domain_id=domain.id)
    )
    project, role = identity.find_project("admin"), identity.find_role("member")
    await asyncio.to_thread(identity.assign_project_role_to_user, project, user, role)
    api = NovaApi(connection=scene.connect(username=word, password=word))
    await api.losses()
    scene.recorder.tape = tape
    await scene.example("a stranger: by name", api.server(SERVER))
    await scene.example("a stranger: by uuid", api.server(scene.uuid))
    await scene.example("a stranger: migrations", api.migrations(scene.uuid))
    await scene.example("a stranger: move", api.live_migrate(scene.uuid, scene.destination))
    await scene.example("a stranger: switch", api.force_complete(scene.uuid, 1))
    await scene.example("a stranger: abort", api.abort(scene.uuid, 1))
    token = {"X-Auth-Token": "expired"}
    bad = scene.ask(f"/servers/{scene.uuid}", "2.9", headers=token, authenticated=False)
    await scene.example("an expired token", bad)
    other = NovaApi(connection=scene.connect(password="wrong"))
    await scene.example("a wrong password", other.server(SERVER))


async def let_go(scene: Scene) -> None:
    """The source's nova-compute is started again in post-copy: it takes the guest for its own."""

    async def restart(_: NovaDriver) -> None:
        await start_compute_again(scene.lab, scene.source)

    async def step(driver: NovaDriver, phase: Phase) -> None:
        await switch(driver, phase)
        await again_(driver, phase)

    switch = after(Phase.PRECOPY, 6.0, NovaDriver.switch)
    again_ = after(Phase.POSTCOPY, 0.0, restart)
    await scene.lab.link().set_rate(SLOW // 4)
    await scene.move("let-go", then=step)


SCENARIOS: dict[str, Callable[[Scene], Awaitable[None]]] = {
    "post-copy": post_copy,
    "cancelled": cancelled,
    "failed": failed,
    "no-host": no_host,
    "pre-copy": pre_copy,
    "automatic": automatic,
    "pause": pause,
    "refusals": refusals,
    "let-go": let_go,
}


async def again(scene: Scene, workload: Workload) -> None:
    """Start the server anew, with that workload."""
    if SERVER in LabServer.names(scene.lab):
        await LabServer.load(scene.lab, SERVER).stop()
    made = await LabServer.start(scene.lab, GuestSpec(name=SERVER, workload=workload), "alpha")
    scene.uuid, scene.source, scene.destination = made.uuid, "alpha", "beta"


async def at_rest(scene: Scene) -> None:
    async def rests() -> bool:
        return not (await scene.api.server(scene.uuid))["OS-EXT-STS:task_state"]

    await until(rests)


async def figures(scene: Scene) -> None:
    async def there() -> bool:
        return (await scene.api.look(scene.uuid, None)).memory_moves

    await until(there)


async def status(scene: Scene, number: int, *wanted: str) -> str:
    """Wait until the migration has one of these, and return which."""
    seen = ""

    async def reached() -> bool:
        nonlocal seen
        (one,) = [m for m in await scene.api.migrations(scene.uuid) if m["id"] == number]
        seen = str(one["status"])
        return seen in wanted

    await until(reached)
    return seen


async def main(lab: str, folder: str, *chosen: str) -> None:
    scene = Scene(Lab(lab), Path(folder))
    scene.folder.mkdir(parents=True, exist_ok=True)
    await again(scene, BUSY)
    await scene.lab.link().set_rate(SLOW)
    for name in chosen or SCENARIOS:
        say(f"{name}, {scene.source} to {scene.destination}")
        await SCENARIOS[name](scene)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
