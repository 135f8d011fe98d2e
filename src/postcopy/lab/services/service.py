"""The servers that a lab guest can run, as data."""

from dataclasses import dataclass

from postcopy.errors import NotFoundError

__all__ = ["BRIDGE", "MAC", "SERVICES", "TAP", "Service", "find_service"]

BRIDGE = "guests"
"""Of each host: the link of such guests, and where libvirt attaches a domain."""
TAP = "guest"
"""A port of it: what QEMU attaches a bare guest to, on either host."""
MAC = "52:54:00:70:63:01"

_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A server.

    :param package: the Debian package that it is in.
    :param programs: what of it is needed; the libraries follow from that.
    :param trees: directories and files that are needed besides.
    :param prepare: run once in the root that the image is made of, by a shell.
    :param start: run in the guest, by a shell, as the last that it does.
    :param port: TCP, where it listens.
    :param base_mib: the RAM for the server and for the image, which lives there, too.
    :param factor: the RAM for each byte that the server is given to hold.
    """

    name: str
    package: str
    programs: tuple[str, ...]
    start: str
    port: int
    base_mib: int
    factor: float
    trees: tuple[str, ...] = ()
    prepare: str = ""

    def memory_mib(self, data_bytes: int) -> int:
        """Return the RAM that a guest needs for the server, whatever else it does."""
        return -(-int(self.base_mib + self.factor * data_bytes / _MIB) // 16) * 16


_POSTGRES = "/usr/lib/postgresql/17"

SERVICES = {
    "redis": Service(
        name="redis",
        package="redis-server",
        programs=("/usr/bin/redis-server",),
        start="exec redis-server --bind 0.0.0.0 --protected-mode no --save '' --appendonly no"
        " --enable-debug-command yes --loglevel warning",
        port=6379,
        base_mib=64,
        factor=1.4,
    ),
    "postgresql": Service(
        name="postgresql",
        package="postgresql",
        programs=(
            f"{_POSTGRES}/bin/postgres",
            "/usr/bin/setpriv",
            f"{_POSTGRES}/lib/plpgsql.so",
            f"{_POSTGRES}/lib/dict_snowball.so",
        ),
        trees=("/usr/share/postgresql/17/timezonesets", "/data"),
        prepare=f"""
install -d -o postgres -g postgres -m 700 /data
setpriv --reuid=postgres --regid=postgres --clear-groups {_POSTGRES}/bin/initdb \\
    --pgdata=/data --username=postgres --auth=trust --locale=C --encoding=UTF8 \\
    --wal-segsize=1 --no-sync --no-instructions >&2
cat >>/data/postgresql.conf <<'END'
listen_addresses = '*'
unix_socket_directories = ''
fsync = off
full_page_writes = off
autovacuum = off
shared_buffers = 32MB
max_connections = 32
min_wal_size = 4MB
max_wal_size = 32MB
timezone = 'GMT'
log_timezone = 'GMT'
END
echo 'host all all 0.0.0.0/0 trust' >>/data/pg_hba.conf
""",
        start="chown -R postgres:postgres /data && chmod 700 /data && exec /usr/bin/setpriv"
        f" --reuid=postgres --regid=postgres --clear-groups {_POSTGRES}/bin/postgres -D /data",
        port=5432,
        base_mib=208,
        factor=2.5,
    ),
}
"""All of them, by name."""


def find_service(name: str) -> Service:
    """Return a server by its name.

    :raises NotFoundError: when there is none.
    """
    try:
        return SERVICES[name]
    except KeyError:
        raise NotFoundError(
            f"there is no server {name!r} for guests", hint=f"there is: {', '.join(SERVICES)}"
        ) from None
