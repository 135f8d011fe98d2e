"""Nova's API as far as a live migration needs it: plain answers, and errors told as ours.

The SDK blocks, so each call is made in a thread. Answers are read as they come, at microversions
whose words we know (`postcopy.nova.microversions`): the SDK's own objects differ between releases
of the SDK, and its live-migration call holds the answer up until both hosts are checked.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from postcopy.errors import NotFoundError, RefusedError, RetryableError, UsageError
from postcopy.nova.look import Answer, Look
from postcopy.nova.microversions import FEATURES, LEAST, Microversion, best, losses
from postcopy.nova.refusals import explain, raise_for

__all__ = ["NovaApi"]

T = TypeVar("T")

_SECONDS = 20.0
"""How long one answer may take; Nova gives up on its own parts after 60."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class NovaApi:
    """One cloud's Nova.

    :param cloud: its name in clouds.yaml; None is ``OS_CLOUD``, or the environment's ``OS_*``.
    :param clouds_file: the clouds.yaml; None is wherever the SDK looks for one.
    :param seconds: how long one answer may take.
    :param connection: an `openstack.connection.Connection` to use instead of making one.
    """

    def __init__(
        self,
        cloud: str | None = None,
        clouds_file: str | None = None,
        *,
        seconds: float = _SECONDS,
        connection: Any = None,
    ) -> None:
        self.cloud = cloud
        self.clouds_file = clouds_file
        self._seconds = seconds
        self._connection = connection
        self._most: Microversion | None = None

    @property
    def name(self) -> str:
        """What to call the cloud."""
        return f"cloud {self.cloud!r}" if self.cloud else "the cloud of the environment"

    async def losses(self) -> list[str]:
        """Say what the age of this Nova costs; nothing if it is new enough.

        :raises RefusedError: when it is too old for anything.
        """
        most = await self._call(self._newest)
        for feature in FEATURES.values():
            if feature.vital and feature.version > most:
                raise RefusedError(
                    f"{self.name}: Nova's newest microversion is {most[0]}.{most[1]}, and"
                    f" {feature.version[0]}.{feature.version[1]} is needed: {feature.loss}",
                    hint="upgrade Nova to Newton (14) or newer",
                )
        return list(losses(most))

    async def server(self, name: str) -> Answer:
        """Return a server by its uuid, or by its name in any project.

        :raises NotFoundError: when there is none.
        :raises UsageError: when several have that name.
        """

        def find(compute: Any) -> Answer:
            if _UUID.fullmatch(name):
                shown = self._get(compute, "server", f"/servers/{name}").get("server")
                if shown is not None:
                    return _table(shown)
            parameters = {"all_tenants": "true", "name": f"^{re.escape(name)}$"}
            found = self._get(compute, "server", "/servers/detail", parameters).get("servers", [])
            found = [one for one in found if one.get("name") == name]
            if not found:
                raise NotFoundError(
                    f"{self.name} has no server {name!r}",
                    hint="openstack server list --all-projects; other projects' servers are seen"
                    " with an administrator's rights only",
                )
            if len(found) > 1:
                uuids = ", ".join(one["id"] for one in found)
                raise UsageError(f"several servers are called {name!r}", hint=f"name one: {uuids}")
            return _table(found[0])

        return await self._call(find)

    async def migrations(self, uuid: str | None = None) -> list[Answer]:
        """Return live migrations, the newest first: of one server, or of all."""
        return await self._call(lambda compute: self._migrations(compute, uuid))

    async def look(self, uuid: str, migration: int | None) -> Look:
        """Look at a server and one of its migrations, wherever Nova tells of it.

        :param migration: its id; None is the newest live migration.
        """

        def look(compute: Any) -> Look:
            server = self._get(compute, "server", f"/servers/{uuid}").get("server")
            own = self._own(compute, uuid, migration)
            if own is not None:
                return Look(server, own, own)
            every = self._migrations(compute, uuid)
            return Look(server, _pick(every, migration), None)

        return await self._call(look)

    async def live_migrate(self, uuid: str, host: str | None) -> None:
        """Ask for a live migration, disks included where they are not shared.

        :param host: where to; None leaves it to the scheduler.
        """
        wanted = {"host": host, "block_migration": "auto"}
        await self._act("move", "post", f"/servers/{uuid}/action", {"os-migrateLive": wanted})

    async def force_complete(self, uuid: str, migration: int) -> None:
        """Have Nova end pre-copy: by post-copy where that is permitted, or else by a pause."""
        path = f"/servers/{uuid}/migrations/{migration}/action"
        await self._act("force_complete", "post", path, {"force_complete": None})

    async def abort(self, uuid: str, migration: int) -> None:
        """Have Nova call a migration off."""
        await self._act("abort", "delete", f"/servers/{uuid}/migrations/{migration}")

    async def why(self, uuid: str) -> str:
        """Return what Nova noted of the latest live migration that failed; empty if nothing."""

        def ask(compute: Any) -> str:
            base = f"/servers/{uuid}/os-instance-actions"
            actions = self._get(compute, "actions", base).get("instanceActions", [])
            for action in actions:
                if action.get("action") == "live-migration":
                    path = f"{base}/{action.get('request_id')}"
                    shown = _table(self._get(compute, "actions", path).get("instanceAction"))
                    return _reason(shown)
            return ""

        return await self._call(ask)

    def _own(self, compute: Any, uuid: str, migration: int | None) -> Answer | None:
        if best("own", self._newest(compute)) is None:
            return None
        found = self._get(compute, "own", f"/servers/{uuid}/migrations").get("migrations", [])
        return _pick([_table(one) for one in found], migration)

    def _migrations(self, compute: Any, uuid: str | None) -> list[Answer]:
        parameters = {"instance_uuid": uuid} if uuid else {}
        told = self._get(compute, "all", "/os-migrations", parameters).get("migrations", [])
        found = [
            _table(one)
            for one in told
            # Asked in words before 2.23, Nova does not say of what kind one is.
            if one.get("migration_type", "live-migration") == "live-migration"
            and uuid in (None, one.get("instance_uuid"))
        ]
        return sorted(found, key=lambda one: -int(one["id"]))

    async def _act(
        self, call: str, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> None:
        def act(compute: Any) -> None:
            version = best(call, self._newest(compute))
            if version is None:
                raise RefusedError(
                    f"{self.name}: {FEATURES.get(call, FEATURES['auto']).loss}",
                    hint="this Nova is too old for it",
                )
            more = {} if body is None else {"json": body}
            raise_for(getattr(compute, method)(path, microversion=version, **more), acts=True)

        await self._call(act, acts=True)

    def _get(
        self, compute: Any, call: str, path: str, parameters: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return an answer; an empty one where what is asked for is not there."""
        version = best(call, self._newest(compute))
        answer = compute.get(path, microversion=version, params=dict(parameters or {}))
        if answer.status_code == 404:
            return {}
        raise_for(answer, acts=False)
        try:
            return dict(answer.json())
        except (ValueError, TypeError) as error:
            raise RetryableError(
                f"{self.name}: the answer to {path} makes no sense",
                hint="is there a proxy between here and Nova?",
            ) from error

    def _newest(self, compute: Any) -> Microversion:
        if self._most is None:
            data = compute.get_endpoint_data()
            most = getattr(data, "max_microversion", None) if data is not None else None
            self._most = (int(most[0]), int(most[1])) if most else LEAST
        return self._most

    async def reset_state(self, uuid: str) -> None:
        """Have Nova take a server that is in ERROR for one that runs."""
        wanted = {"os-resetState": {"state": "active"}}
        await self._act("move", "post", f"/servers/{uuid}/action", wanted)

    async def ask(self, work: Callable[[Any], T], *, acts: bool = False) -> T:
        """Make calls that block, to any service of the cloud.

        :param work: takes the `openstack.connection.Connection`.
        :param acts: whether they change something, so that a lost answer leaves open whether.
        """

        def call() -> T:
            from keystoneauth1 import exceptions as auth
            from openstack.exceptions import SDKException

            try:
                return work(self._connected())
            except (auth.ClientException, SDKException, OSError) as error:
                raise explain(error, self.name, acts=acts) from error

        return await asyncio.to_thread(call)

    async def _call(self, work: Callable[[Any], T], *, acts: bool = False) -> T:
        return await self.ask(lambda cloud: work(cloud.compute), acts=acts)

    def _connected(self) -> Any:
        if self._connection is None:
            from openstack.config import OpenStackConfig
            from openstack.connection import Connection

            # A file that was named outdoes the environment, which the SDK would put first.
            files = [self.clouds_file] if self.clouds_file else None
            settings = OpenStackConfig(config_files=files, load_envvars=files is None)
            region = settings.get_one(cloud=self.cloud, api_timeout=self._seconds)
            self._connection = Connection(config=region)
        elif self._connection.session.timeout is None:
            self._connection.session.timeout = self._seconds
        return self._connection


def _pick(migrations: list[Answer], wanted: int | None) -> Answer | None:
    found = [one for one in migrations if wanted is None or one.get("id") == wanted]
    return max(found, key=lambda one: int(one["id"]), default=None)


def _reason(action: Answer) -> str:
    for event in action.get("events") or []:
        if event.get("result") == "Error":
            told = event.get("details") or _last_line(event.get("traceback"))
            if told:
                return str(told)
    return str(action.get("message") or "")


def _last_line(text: object) -> str:
    lines = str(text or "").strip().splitlines()
    return lines[-1].strip() if lines else ""


def _table(raw: object) -> Answer:
    return raw if isinstance(raw, Mapping) else {}
