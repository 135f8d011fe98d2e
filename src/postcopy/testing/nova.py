"""Keystone, Nova and Placement as far as a live migration needs them, on loopback."""

import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from postcopy.testing import placement, shapes
from postcopy.testing.cloud import FakeCloud, FakeMigration
from postcopy.testing.shapes import Answer

__all__ = ["FakeNova"]

_JSON = {"Content-Type": "application/json"}
_HANG_SECONDS = 60.0
_PASSWORD = "open sesame"

_ORDERS = {
    "force": ("force_complete", "force complete", ("running",)),
    "abort": (*["abort live migration"] * 2, ("running", "queued", "preparing")),
}
"""What Nova calls each order, twice over, and the states of a migration in which it takes it."""


class FakeNova:
    """Serves a `FakeCloud`; a context.

    :ivar requests: what was asked of Nova so far: method, path, microversion.
    :ivar logins: how many tokens were given out.
    """

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud
        self.requests: list[tuple[str, str, str]] = []
        self.logins = 0
        self._tokens: set[str] = set()
        self._faults: list[tuple[float, float, str]] = []
        self.left = threading.Event()
        """Set when nobody needs it any more."""
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.left.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def write_clouds(self, path: Path, name: str = "fake") -> Path:
        """Write a clouds.yaml that names it."""
        auth = {
            "auth_url": f"{self.url}/v3",
            "username": "admin",
            "password": _PASSWORD,
            "project_name": "admin",
            "user_domain_id": "default",
            "project_domain_id": "default",
        }
        # JSON is YAML.
        path.write_text(json.dumps({"clouds": {name: {"auth": auth, "region_name": "RegionOne"}}}))
        return path

    def fail(self, how: str, after: float, seconds: float) -> None:
        """Have Nova fail for a while.

        :param how: ``500``, ``503``; ``silence``: the connection is closed without an answer;
            ``hang``: it is not even closed; ``lost``: what is asked for is done, and the answer
            is 500.
        :param after: when that begins, in seconds from now by the cloud's clock.
        """
        began = self.cloud.clock.now() + after
        self._faults.append((began, began + seconds, how))

    def expire_tokens(self) -> None:
        """Have every token that was given out expire."""
        self._tokens.clear()

    def answer(
        self, method: str, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[Answer | None, dict[str, str]]:
        """Answer one request; None is silence."""
        with self._lock:
            where = urlsplit(path)
            if where.path.startswith("/v3"):
                return self._keystone(method, where.path, body)
            if where.path.rstrip("/") in ("/compute", "/compute/v2.1"):
                shown = shapes.version(f"{self.url}/compute/v2.1", self.cloud.newest)
                one = where.path.rstrip("/").endswith("v2.1")
                return (200, {"version": shown} if one else {"versions": [shown]}), {}
            if where.path.rstrip("/") == "/placement":
                return placement.answer(self.cloud, method, "", body, {}), {}
            if headers.get("X-Auth-Token") not in self._tokens:
                return (401, {"error": {"code": 401, "message": "The token has expired."}}), {}
            if where.path.startswith("/placement/"):
                named = {key: values[-1] for key, values in parse_qs(where.query).items()}
                local = where.path.removeprefix("/placement")
                return placement.answer(self.cloud, method, local, body, named), {}
            told = re.fullmatch(r"compute (2\.\d+)", headers.get("OpenStack-API-Version", ""))
            version = told[1] if told else "2.1"
            self.requests.append((method, path, version))
            self.cloud.live()
            parameters = {key: values[-1] for key, values in parse_qs(where.query).items()}
            minor = int(version.partition(".")[2])
            now = self.cloud.clock.now()
            for began, ends, how in self._faults:
                if began <= now < ends:
                    if how in ("silence", "hang"):
                        return None, {"hang": "yes"} if how == "hang" else {}
                    if how == "lost":
                        local = where.path.removeprefix("/compute/v2.1")
                        self._nova(method, local, body, parameters, minor)
                    status = 500 if how == "lost" else int(how)
                    words = "Unexpected API Error. Please report this."
                    return shapes.fault(status, "computeFault", words), {}
            return self._nova(method, where.path.removeprefix("/compute/v2.1"), body,
                              parameters, minor), {}  # fmt: skip

    def _keystone(
        self, method: str, path: str, body: Mapping[str, Any]
    ) -> tuple[Answer, dict[str, str]]:
        if method == "GET":
            links = [{"rel": "self", "href": f"{self.url}/v3/"}]
            version = {"id": "v3.14", "status": "stable", "links": links}
            return (200, {"version": version}), {}
        user = body["auth"]["identity"]["password"]["user"]
        if user["password"] != _PASSWORD:
            return (401, {"error": {"code": 401, "message": "Wrong password."}}), {}
        self.logins += 1
        token = f"token-{self.logins}"
        self._tokens.add(token)
        urls = {
            "compute": f"{self.url}/compute/v2.1",
            "identity": f"{self.url}/v3",
            "placement": f"{self.url}/placement",
        }
        shown = shapes.token(urls)
        return (201, {"token": shown}), {"X-Subject-Token": token}

    def _nova(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any],
        parameters: dict[str, str],
        minor: int,
    ) -> Answer:
        server = self.cloud.server
        if path == "/servers/detail":
            wanted = re.compile(parameters.get("name", ""))
            shown = [server] if server is not None and wanted.search(server["name"]) else []
            shown = [shapes.server(one, minor) for one in shown]
            return 200, {"servers": shown}
        if path == "/os-migrations":
            every = reversed(self.cloud.migrations)
            shown = [shapes.listed(one, self._id, self._links(one), minor) for one in every]
            wanted_id = parameters.get("instance_uuid", self._id)
            return 200, {"migrations": shown if wanted_id == self._id else []}
        if server is None or not path.startswith(f"/servers/{self._id}"):
            words = f"Instance {path.split('/')[2]} could not be found."
            return shapes.fault(404, "itemNotFound", words)
        rest = path.removeprefix(f"/servers/{self._id}")
        if rest == "":
            return 200, {"server": shapes.server(server, minor)}
        if rest == "/action":
            if "os-resetState" in body:
                server |= {"status": "ACTIVE", "OS-EXT-STS:task_state": None}
                return 202, None
            return self._move(body["os-migrateLive"])
        if rest.startswith("/os-instance-actions"):
            return 200, shapes.actions(rest.count("/") > 1, self.cloud.reason, minor)
        if rest == "/migrations":
            return 200, {"migrations": [shapes.own(one, self._id, minor) for one in self._shown]}
        if match := re.fullmatch(r"/migrations/(\d+)(/action)?", rest):
            number = int(match[1])
            if method == "GET":
                return self._show(number, minor)
            return self._order("abort" if method == "DELETE" else "force", number)
        return shapes.fault(404, "itemNotFound", "No such resource.")

    @property
    def _id(self) -> str:
        return str(self.cloud.server["id"]) if self.cloud.server else ""

    @property
    def _shown(self) -> list[FakeMigration]:
        """The migrations that the server's own list shows: those of some states only."""
        known = ("queued", "preparing", "running")
        return [one for one in self.cloud.migrations if one.status in known]

    def _links(self, one: FakeMigration) -> list[dict[str, str]]:
        """Where a migration is shown; nowhere, unless the server's own list has it."""
        path = f"servers/{self._id}/migrations/{one.id}"
        links = {"self": f"{self.url}/compute/v2.1/{path}", "bookmark": f"{self.url}/{path}"}
        return [{"rel": rel, "href": href} for rel, href in links.items() if one in self._shown]

    def _move(self, wanted: Mapping[str, Any]) -> Answer:
        server = self.cloud.server
        assert server is not None
        if task := server["OS-EXT-STS:task_state"]:
            words = f"Cannot 'os-migrateLive' instance {self._id} while it is in task_state {task}"
            return shapes.fault(409, "conflictingRequest", words)
        if wanted["host"] not in (None, "alpha", "beta"):
            words = f"Compute host {wanted['host']} could not be found."
            return shapes.fault(400, "badRequest", words)
        self.cloud.begin(wanted["host"])
        return 202, None

    def _show(self, number: int, minor: int) -> Answer:
        for one in self._shown:
            if one.id == number:
                return 200, {"migration": shapes.own(one, self._id, minor)}
        words = f"Live migration {number} for server {self._id} is not in progress."
        return shapes.fault(404, "itemNotFound", words)

    def _order(self, order: str, number: int) -> Answer:
        """Take an order if it makes sense now; each refusal has a status of its own."""
        assert self.cloud.server is not None
        call, words, states = _ORDERS[order]
        if self.cloud.server["OS-EXT-STS:task_state"] != "migrating":
            told = f"Instance {self._id} is in an invalid state for '{call}'"
            return shapes.fault(409, "conflictingRequest", told)
        found = [one for one in self.cloud.migrations if one.id == number]
        if not found:
            told = f"Migration {number} not found for instance {self._id}"
            missing = shapes.fault(404, "itemNotFound", told)
            return shapes.fault(400, "badRequest", told) if order == "force" else missing
        (one,) = found
        if one.status not in states:
            told = (
                f"Migration {number} state of instance {self._id} is {one.status}. Cannot {words}"
            )
            return shapes.fault(400, "badRequest", f"{told} while the migration is in this state.")
        one.orders.append(order)
        return 202, None


def _handler(nova: FakeNova) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: in two, the client's TCP waits 40 ms for the second

        def _respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            answer, headers = nova.answer(self.command, self.path, body, dict(self.headers))
            if answer is None:
                if headers:
                    nova.left.wait(_HANG_SECONDS)
                self.close_connection = True
                return
            status, shown = answer
            text = b"" if shown is None else json.dumps(shown).encode()
            self.send_response(status)
            for name, value in {**_JSON, **headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = _respond  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
