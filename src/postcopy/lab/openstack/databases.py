"""The cloud's databases: made by each service's own tool, then fitted to the lab they are in.

Making them (`create`) takes most of a minute, so what it leaves is kept for other labs
(`postcopy.lab.openstack.kept`). Nothing in there is bound to a lab for good: Nova's cells refer to
configuration, and `fit` sets every password, address and key that Keystone stores.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence

from postcopy import processes
from postcopy.errors import UnavailableError
from postcopy.lab import names
from postcopy.lab.host import Host
from postcopy.lab.openstack.config import CATALOG, DATABASE_USER, DATABASES, REGION, Site

__all__ = ["create", "fit", "sql"]

_SECONDS = 400.0

# Filled in by Nova from its configuration each time (nova.objects.cell_mapping).
_ANY_DATABASE = "{scheme}://{username}:{password}@{hostname}/%s?{query}"
_ANY_QUEUE = "{scheme}://{username}:{password}@{hostname}:{port}/"

# A new service's first look at libvirt comes before its event loop, and it hears of no event
# until it is started again. One that is known already does not take that look.
_KNOWN_SERVICE = """
INSERT INTO nova.services (created_at, host, `binary`, topic, report_count, disabled, deleted,
  forced_down, version, uuid)
VALUES (UTC_TIMESTAMP(), '{host}', 'nova-compute', 'compute', 0, 0, 0, 0, {version}, UUID());
"""
_SERVICE_VERSION = "/usr/lib/python3/dist-packages/nova/objects/service.py"

_HASH = """
import bcrypt, sys
for word in sys.stdin.read().split():
    print(bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode())
"""


async def sql(controller: Host, statements: str) -> str:
    """Run statements as MariaDB's own administrator and return what they print."""
    done = await controller.run(
        *("mariadb", "--no-defaults", "--batch", "--skip-column-names"),
        stdin=statements,
        timeout=60,
    )
    return done.stdout


async def create(controller: Host, site: Site, progress: Callable[[str], None]) -> None:
    """Make every database and the tables in it, Keystone's administrator, and Nova's cells."""
    await sql(controller, "".join(f"CREATE DATABASE {name};\n" for name in DATABASES))
    await _grant(controller, site)
    password = {"OS_BOOTSTRAP_PASSWORD": site.passwords.admin}
    chains: dict[str, list[Sequence[str]]] = {
        "Keystone": [
            ("keystone-manage", "db_sync"),
            (
                *("keystone-manage", "bootstrap", "--bootstrap-region-id", REGION),
                *("--bootstrap-public-url", site.url("keystone")),
                *("--bootstrap-internal-url", site.url("keystone")),
            ),
        ],
        "Placement": [("placement-manage", "db", "sync")],
        "Glance": [("glance-manage", "db_sync")],
        "Neutron": [
            ("neutron-db-manage", "--config-file", "/etc/neutron/neutron.conf", "upgrade", "heads")
        ],
        "Nova": [
            ("nova-manage", "api_db", "sync"),
            (
                *("nova-manage", "cell_v2", "map_cell0"),
                *("--database_connection", _ANY_DATABASE % "nova_cell0"),
            ),
            ("nova-manage", "db", "sync"),
            (
                *("nova-manage", "cell_v2", "create_cell", "--name", "cell1"),
                *("--database_connection", _ANY_DATABASE % "nova"),
                *("--transport-url", _ANY_QUEUE),
            ),
        ],
    }

    async def follow(name: str, commands: Iterable[Sequence[str]]) -> None:
        for command in commands:
            await _manage(controller, *command, environment=password if name == "Keystone" else {})
        progress(f"the databases of {name} are there")

    async with asyncio.TaskGroup() as group:
        for name, commands in chains.items():
            group.create_task(follow(name, commands))
    await _announce_computes(controller)


async def fit(controller: Host, site: Site) -> None:
    """Give the databases this lab's passwords and addresses, whoever's they had."""
    await _grant(controller, site)
    words = {"admin": site.passwords.admin}
    words |= {name: site.passwords.service for name in CATALOG if name != "keystone"}
    hashed = await controller.run("python3", "-c", _HASH, stdin="\n".join(words.values()))
    statements = [
        f"UPDATE keystone.password SET password_hash = '{hash_}' WHERE local_user_id IN"
        f" (SELECT id FROM keystone.local_user WHERE name = '{name}');"
        for name, hash_ in zip(words, hashed.stdout.split(), strict=True)
    ]
    statements += [
        f"UPDATE keystone.endpoint SET url = '{site.url(name)}' WHERE service_id IN"
        f" (SELECT id FROM keystone.service WHERE type = '{kind}');"
        for name, (kind, _) in CATALOG.items()
    ]
    await sql(controller, "\n".join(statements))


async def _grant(controller: Host, site: Site) -> None:
    user = f"'{DATABASE_USER}'@'localhost'"
    await sql(
        controller,
        f"CREATE OR REPLACE USER {user} IDENTIFIED BY '{site.passwords.database}';\n"
        f"GRANT ALL ON *.* TO {user};\n",
    )


async def _announce_computes(controller: Host) -> None:
    text = (controller.root_dir / _SERVICE_VERSION.lstrip("/")).read_text()
    found = re.search(r"^SERVICE_VERSION = (\d+)$", text, re.MULTILINE)
    if found is None:
        raise UnavailableError(
            "this Nova does not say which version its services have",
            hint=f"it was looked for in {_SERVICE_VERSION}",
        )
    statements = [_KNOWN_SERVICE.format(host=host, version=found[1]) for host in names.HOSTS]
    await sql(controller, "".join(statements))
    await _manage(controller, "nova-manage", "cell_v2", "discover_hosts", "--by-service")


async def _manage(
    controller: Host, *command: str, environment: dict[str, str] | None = None
) -> None:
    variables = {**controller.environment(), **(environment or {})}
    await processes.run(*controller.command(*command), env=variables, timeout=_SECONDS)
