"""A recorded cloud for a test: our own API, driver and supervisor over a tape."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openstack.config import OpenStackConfig
from openstack.connection import Connection

from postcopy.migration.event import Event, Noted, SampleTaken
from postcopy.migration.phase import Phase
from postcopy.nova.api import NovaApi
from postcopy.nova.driver import NovaDriver
from postcopy.nova.permission import GIVEN
from postcopy.testing import FakeClock

from .tape import Exchange, Player, Tape

__all__ = ["FOLDERS", "Played", "play"]

FOLDERS = ("nova-26", "nova-31")

_AUTH = {
    "auth_url": "http://198.51.100.1:5000/v3",
    "username": "admin",
    "password": "none is on the tape",
    "project_name": "admin",
    "user_domain_name": "Default",
    "project_domain_name": "Default",
}


@dataclass
class Played:
    """What a test has at hand."""

    tape: Tape
    clock: FakeClock
    player: Player
    connection: Any
    events: list[Event] = field(default_factory=list)

    @property
    def api(self) -> NovaApi:
        """A new one, which knows nothing yet."""
        return NovaApi(connection=self.connection)

    def driver(self, host: str | None = "", **more: Any) -> NovaDriver:
        """Return a driver of the recorded migration; to where that went, unless a host is named."""
        wanted = self.tape.about["destination"] if host == "" else host
        given = {"permission": GIVEN, "clock": self.clock, **more}
        return NovaDriver("busy", wanted, self.api, **given)

    def again(self, act: Exchange) -> None:
        """Do what the recording did, as it did it."""
        self.connection.compute.request(
            act.path, act.method, microversion=act.version, json=act.body
        )

    @property
    def phases(self) -> list[Phase]:
        """What was seen, each once, in order."""
        seen = [event.sample.phase for event in self.events if isinstance(event, SampleTaken)]
        return [p for i, p in enumerate(seen) if i == 0 or seen[i - 1] is not p]

    @property
    def notes(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Noted))


def play(folder: str, scenario: str, keep: Callable[[Exchange], bool] = lambda _: True) -> Played:
    """Return a recorded cloud at its beginning.

    :param keep: which of its answers are given.
    """
    tape = Tape.load(Path(__file__).parent / folder / f"{scenario}.jsonl")
    tape.exchanges = [one for one in tape.exchanges if keep(one)]
    clock = FakeClock()
    player = Player(tape, clock)
    settings = OpenStackConfig(load_yaml_config=False, load_envvars=False)
    connection = Connection(config=settings.get_one(auth=_AUTH, region_name="RegionOne"))
    connection.session.mount("http://", player)
    return Played(tape, clock, player, connection)
