"""The services of the cloud, as data, in the order in which they may start. Pure."""

from postcopy.lab import names
from postcopy.lab.openstack.config import DATABASE_SOCKET, PORTS, Site
from postcopy.lab.openstack.packages import OLDER_RELEASE, RELEASE
from postcopy.lab.openstack.service import Service

__all__ = ["apis", "computes", "conductor", "database", "messages", "scheduler"]

_WSGI = (
    *("uwsgi", "--plugin", "python3", "--master", "--lazy-apps", "--enable-threads"),
    *("--buffer-size", "65535", "--die-on-term", "--need-app"),
    # Keystone's answers without a body carry a length that uwsgi would not keep to.
    *("--rem-header", "Content-Length", "--add-header", "Connection:close"),
)

_APPLICATIONS = {
    RELEASE: {
        "keystone": ("--module", "keystone.wsgi.api:application"),
        "placement": ("--module", "placement.wsgi.api:application"),
        "glance": ("--wsgi-file", "/usr/bin/glance-wsgi-api"),
        "neutron": ("--module", "neutron.wsgi.api:application"),
        "nova": ("--module", "nova.wsgi.osapi_compute:application"),
    },
    OLDER_RELEASE: {
        "keystone": ("--wsgi-file", "/usr/bin/keystone-wsgi-public"),
        "placement": ("--wsgi-file", "/usr/bin/placement-api"),
        "glance": ("--wsgi-file", "/usr/bin/glance-wsgi-api"),
        "neutron": ("--wsgi-file", "/usr/bin/neutron-api"),
        "nova": ("--wsgi-file", "/usr/bin/nova-api-wsgi"),
    },
}

_THREADS = ("--processes", "1", "--threads", "4")

# Nova's green threads belong to one thread: in another, it would wait for an answer in vain.
_CONCURRENCY = {"nova": ("--processes", "2", "--threads", "1")}

_ENVIRONMENTS = {"placement": {"OS_PLACEMENT_CONFIG_DIR": "/etc/placement"}}

_RABBIT = "/var/lib/rabbitmq"


def database() -> Service:
    """Return MariaDB: small, without a network, and without a care for power cuts."""
    options = {
        "user": "root",
        "datadir": "/var/lib/mysql",
        "socket": DATABASE_SOCKET,
        "pid-file": "/run/mysqld/mysqld.pid",
        "innodb-flush-log-at-trx-commit": "0",
        "innodb-buffer-pool-size": "64M",
        "innodb-log-file-size": "16M",
        "performance-schema": "0",
        "max-connections": "400",
        "character-set-server": "utf8mb3",
    }
    return Service(
        "mariadb",
        names.CONTROLLER,
        (
            *("mariadbd", "--no-defaults", "--skip-networking", "--skip-log-bin"),
            *(f"--{name}={value}" for name, value in options.items()),
        ),
        socket=DATABASE_SOCKET,
    )


def messages() -> Service:
    """Return RabbitMQ. Its node is called after localhost: the host's name has no DNS."""
    return Service(
        "rabbitmq",
        names.CONTROLLER,
        ("/usr/lib/rabbitmq/bin/rabbitmq-server",),
        environment={
            "HOME": _RABBIT,
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_MNESIA_BASE": f"{_RABBIT}/mnesia",
            "RABBITMQ_LOG_BASE": "/var/log/rabbitmq",
            "RABBITMQ_CONFIG_FILE": "/etc/rabbitmq/postcopy.conf",
            "RABBITMQ_CONF_ENV_FILE": "/etc/rabbitmq/rabbitmq-env.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "/etc/rabbitmq/enabled_plugins",
            # One scheduler, which sleeps when there is nothing to do.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        },
        port=PORTS["messages"],
    )


def apis(site: Site) -> dict[str, Service]:
    """Return every HTTP API, by name; Keystone comes first."""
    return {
        name: Service(
            f"{name}-api",
            names.CONTROLLER,
            (
                *(*_WSGI, *_CONCURRENCY.get(name, _THREADS)),
                *("--http-socket", f"{site.controller}:{PORTS[name]}", *application),
            ),
            environment=_ENVIRONMENTS.get(name, {}),
            port=PORTS[name],
        )
        for name, application in _APPLICATIONS[site.release].items()
    }


def conductor() -> Service:
    """Return nova-conductor, which speaks to the database for nova-compute."""
    return _nova("conductor", names.CONTROLLER, "conductor")


def scheduler() -> Service:
    """Return nova-scheduler."""
    return _nova("scheduler", names.CONTROLLER, "scheduler")


def computes() -> dict[str, Service]:
    """Return nova-compute for each host that runs guests. The conductor must be ready."""
    return {host: _nova("compute", host, f"compute.{host}") for host in names.HOSTS}


def _nova(kind: str, host: str, queue: str) -> Service:
    name = f"nova-{kind}"
    log = f"/var/log/nova/{name}.log"
    command = (name, "--config-file", "/etc/nova/nova.conf", "--log-file", log)
    return Service(name, host, command, queue=queue, log=log)
