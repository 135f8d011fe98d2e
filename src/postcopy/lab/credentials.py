"""Who may reach a lab's hosts: its own certificate authority and SSH keys, made with the lab.

::

    RUNTIME/lab/NAME/ssh                   ssh with the lab's keys, for root@ADDRESS of a host
                     keys/authority/       the certificate authority
                          cacert.pem       with clientcert.pem and clientkey.pem: ?pkipath=
                          id_ed25519       the machine's SSH key
                          known_hosts      the hosts' own keys

Inside a host everything is where Debian's programs look for it, so that a host reaches the other
one as this machine does, without any option.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from postcopy import pki
from postcopy.lab.host import Host

__all__ = ["HOST_KEY", "keys_directory", "provide", "ssh_command"]

HOST_KEY = "/etc/ssh/lab_host_key"
"""What a host proves with that it is itself; not one of those that its root was built with."""


def keys_directory(host: Host) -> Path:
    """Return the directory of the machine's keys, which is also libvirt's ``pkipath``."""
    return host.runtime_dir.parent / "keys"


def ssh_command(host: Host) -> Path:
    """Return the program that is ssh with the lab's keys, and none of the user's own."""
    return host.runtime_dir.parent / "ssh"


def provide(hosts: Sequence[Host], programs: Path) -> None:
    """Make and install all keys of a lab, once: milliseconds, with keys on elliptic curves.

    :param hosts: all of the lab, running.
    :param programs: a directory in which programs may be executed; often not so below ``/run``.
    """
    directory = keys_directory(hosts[0])
    if (directory / "known_hosts").exists():
        return
    directory.mkdir(mode=0o700, exist_ok=True)
    _provide_certificates(hosts, directory)
    _provide_ssh_keys(hosts, directory)
    program = programs / "ssh"
    program.write_text(
        _SSH.format(key=quote(str(directory / "id_ed25519")), known=_known(directory))
    )
    program.chmod(0o755)
    link = ssh_command(hosts[0])
    link.unlink(missing_ok=True)
    link.symlink_to(program)


# BatchMode: who cannot log in is told so, and never asked for a password.
_SSH = """\
#!/bin/sh
exec ssh -F none -i {key} -o IdentitiesOnly=yes -o BatchMode=yes \\
    -o StrictHostKeyChecking=yes -o UserKnownHostsFile={known} "$@"
"""


def _known(directory: Path) -> str:
    # ssh splits the value at blanks, after the shell has.
    return quote(f'"{directory / "known_hosts"}"')


def _provide_certificates(hosts: Sequence[Host], directory: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    lab = hosts[0].lab
    authority = pki.Authority.ensure(directory / "authority", f"postcopy lab {lab}", now)
    pki.install(authority.issue(f"machine of {lab}", now), directory, pki.CLIENT_FILES)
    for host in hosts:
        addresses = (host.control_address, host.data_address)
        issued = authority.issue(host.name, now, dns=[host.name], addresses=addresses)
        pki.install(issued, host.root_dir, pki.HOST_FILES)


def _provide_ssh_keys(hosts: Sequence[Host], directory: Path) -> None:
    authorized = [_make_key(directory / "id_ed25519")]
    known = []
    for host in hosts:
        home = host.root_dir / "root/.ssh"
        home.mkdir(mode=0o700, exist_ok=True)
        authorized.append(_make_key(home / "id_ed25519"))
        proof = _make_key(host.root_dir / HOST_KEY.lstrip("/"))
        known.append(f"{host.control_address} {proof}")
    for host in hosts:
        home = host.root_dir / "root/.ssh"
        pki.write_private(home / "authorized_keys", _lines(authorized))
        pki.write_private(home / "known_hosts", _lines(known))
    pki.write_private(directory / "known_hosts", _lines(known))


def _make_key(path: Path) -> str:
    """Write a new private key and return the public one, both as OpenSSH spells them."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    pki.write_private(path, private)
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return public.decode()


def _lines(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
