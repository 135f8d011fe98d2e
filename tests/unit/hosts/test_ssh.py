"""SSH, to a server of this test's own: what comes back, and what is refused."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

from postcopy.errors import UnavailableError
from postcopy.hosts import SshSpec, probe
from postcopy.hosts.ssh import SshHost


@dataclass
class Server:
    port: int
    home: Path
    key: asyncssh.SSHKey

    def host(self) -> SshHost:
        spec = SshSpec(name="h1", host="127.0.0.1", user="root", port=self.port,
                       key=str(self.home / ".ssh/id"))  # fmt: skip
        return SshHost(spec)

    def trust(self) -> None:
        line = f"[127.0.0.1]:{self.port} {self.key.export_public_key().decode()}"
        (self.home / ".ssh/known_hosts").write_text(line)


async def serve(process: "asyncssh.SSHServerProcess[bytes]") -> None:
    """Run what is asked for with this machine's own shell."""
    child = await asyncio.create_subprocess_exec(
        "sh", "-c", process.command or "",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        out, err = await child.communicate(await process.stdin.read())
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            await child.communicate()
    process.stdout.write(out)
    process.stderr.write(err)
    process.exit(child.returncode or 0)


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    key = asyncssh.generate_private_key("ssh-ed25519")
    mine = asyncssh.generate_private_key("ssh-ed25519")
    mine.write_private_key(tmp_path / ".ssh/id")
    (tmp_path / "authorized").write_bytes(mine.export_public_key())
    listening = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[key], process_factory=serve, encoding=None,
        authorized_client_keys=str(tmp_path / "authorized"),
    )  # fmt: skip
    async with listening:
        yield Server(listening.get_port(), tmp_path, key)


async def test_commands_run_there_and_the_probe_answers(server: Server) -> None:
    server.trust()
    host = server.host()
    done = await host.run("sh", "-c", 'cat; echo "$1" >&2; exit 3', "sh", "it's", stdin="hello")
    assert (done.returncode, done.stdout, done.stderr) == (3, "hello", "it's\n")
    answer = await probe(host, {"kernel": {"proofs": []}})
    assert answer["sections"]["kernel"]["page_bytes"]
    await host.close()


async def test_a_host_whose_key_is_not_known_is_not_spoken_to(server: Server) -> None:
    (server.home / ".ssh/known_hosts").write_text("")
    with pytest.raises(UnavailableError, match=r"host h1: its host key is not trusted") as caught:
        await server.host().run("true")
    assert "ssh 127.0.0.1" in caught.value.hint


async def test_a_key_that_is_not_let_in(server: Server) -> None:
    server.trust()
    other = asyncssh.generate_private_key("ssh-ed25519")
    other.write_private_key(server.home / ".ssh/id")
    with pytest.raises(UnavailableError, match="lets nobody in") as caught:
        await server.host().run("true")
    assert "ssh-add" in caught.value.hint


async def test_a_command_that_hangs_is_given_up(server: Server) -> None:
    server.trust()
    host = server.host()
    await host.run("true")
    with pytest.raises(UnavailableError, match=r"did not end within 0\.1 s"):
        await host.run("sleep", "600", seconds=0.1)
    assert (await host.run("true")).returncode == 0
    await host.close()


async def test_nobody_listens(server: Server) -> None:
    host = SshHost(SshSpec(name="h1", host="127.0.0.1", port=1))
    with pytest.raises(UnavailableError, match="cannot use host h1") as caught:
        await host.run("true")
    assert "firewall" in caught.value.hint
