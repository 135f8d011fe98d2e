"""The cloud's configuration, as far as a mistake in it would cost somebody hours."""

import configparser
import os
import stat
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from postcopy.errors import UnavailableError
from postcopy.lab import names
from postcopy.lab.openstack import clouds, config, packages, services
from postcopy.lab.openstack.config import Site
from postcopy.lab.openstack.passwords import Passwords, write_private

SITE = Site("198.19.7.3", Passwords.generate())


def parsed(site: Site, host: str, path: str) -> configparser.ConfigParser:
    files = config.files(site, host, f"198.19.7.{host}", f"198.18.7.{host}")
    parser = configparser.ConfigParser(interpolation=None, default_section="none")
    parser.read_string(files[path])
    return parser


@pytest.mark.parametrize("host", names.HOSTS)
def test_migrations_go_over_the_data_link_and_calls_over_the_control_link(host: str) -> None:
    nova = parsed(SITE, host, "/etc/nova/nova.conf")
    assert nova["libvirt"]["live_migration_inbound_addr"] == f"198.18.7.{host}"
    assert nova["libvirt"]["live_migration_permit_post_copy"] == "true"
    assert nova["DEFAULT"]["my_ip"] == f"198.19.7.{host}"
    assert urlsplit(nova["DEFAULT"]["transport_url"]).hostname == SITE.controller


def test_options_of_nova_that_were_asked_for_outdo_the_labs() -> None:
    asked = Site(SITE.controller, SITE.passwords, nova={"live_migration_timeout_action": "abort"})
    nova = parsed(asked, "alpha", "/etc/nova/nova.conf")["libvirt"]
    assert nova["live_migration_timeout_action"] == "abort"
    assert nova["live_migration_permit_post_copy"] == "true"


def test_instances_are_where_they_are_wanted() -> None:
    shared = Site(SITE.controller, SITE.passwords, shared=True)
    paths = [
        parsed(site, "alpha", "/etc/nova/nova.conf")["DEFAULT"]["instances_path"]
        for site in (SITE, shared)
    ]
    assert paths == [config.INSTANCES, config.SHARED_INSTANCES]


@pytest.mark.parametrize(
    ("path", "section", "database"),
    [
        ("/etc/keystone/keystone.conf", "database", "keystone"),
        ("/etc/placement/placement.conf", "placement_database", "placement"),
        ("/etc/glance/glance-api.conf", "database", "glance"),
        ("/etc/neutron/neutron.conf", "database", "neutron"),
        ("/etc/nova/nova.conf", "database", "nova"),
        ("/etc/nova/nova.conf", "api_database", "nova_api"),
    ],
)
def test_each_service_has_its_own_database(path: str, section: str, database: str) -> None:
    address = urlsplit(parsed(SITE, names.CONTROLLER, path)[section]["connection"])
    assert address.path == f"/{database}"
    assert database in config.DATABASES
    assert parse_qs(address.query)["unix_socket"] == [config.DATABASE_SOCKET]


def test_a_compute_host_knows_no_password_of_the_database() -> None:
    for text in config.files(SITE, "alpha", "a", "b").values():
        assert SITE.passwords.database not in text
        assert SITE.passwords.admin not in text


def test_passwords_are_each_labs_own_and_roots_alone(tmp_path: Path) -> None:
    made = Passwords.of(tmp_path / "passwords.json")
    assert Passwords.of(tmp_path / "passwords.json") == made
    assert Passwords.of(tmp_path / "other.json") != made
    assert len({made.admin, made.service, made.database, made.messages, *made.token_keys}) == 6
    assert stat.S_IMODE((tmp_path / "passwords.json").stat().st_mode) == 0o600
    assert made.admin not in f"{made!r}{made}{SITE!r}"


def test_a_broken_file_of_passwords_is_named(tmp_path: Path) -> None:
    path = tmp_path / "passwords.json"
    path.write_text('{"admin": "a"}')
    with pytest.raises(UnavailableError, match=str(path)):
        Passwords.of(path)


def test_clouds_yaml_is_roots_alone_and_reaches_the_api(tmp_path: Path) -> None:
    files = [tmp_path / "clouds.yaml", tmp_path / "deeper" / "clouds.yaml"]
    files[0].write_text("old")
    clouds.write(SITE, *files)
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    connection = clouds.connect(files[0])
    assert not connection.session.session.trust_env, "a proxy would not find the lab"
    region = connection.config
    assert region.name == clouds.CLOUD
    assert region.config["auth"]["auth_url"] == "http://198.19.7.3:5000/v3"
    assert region.config["auth"]["password"] == SITE.passwords.admin


def test_every_service_says_how_one_sees_that_it_is_ready() -> None:
    everything = [
        *(services.database(), services.messages(), *services.apis(SITE).values()),
        *(services.conductor(), services.scheduler(), *services.computes().values()),
    ]
    assert len({(one.host, one.name) for one in everything}) == len(everything) == 11
    for one in everything:
        assert [one.port, one.queue, one.socket].count(None) == 2
        assert not any(word in " ".join(one.command) for word in _secrets())


def test_each_release_has_every_service() -> None:
    made = [
        services.apis(Site(SITE.controller, SITE.passwords, release=name))
        for name in packages.RELEASES
    ]
    older, newer = made
    assert older.keys() == newer.keys()
    assert older["nova"].command != newer["nova"].command
    assert older["nova"].port == newer["nova"].port


def _secrets() -> list[str]:
    held = SITE.passwords
    return [held.admin, held.service, held.database, held.messages, *held.token_keys]


def test_a_file_that_says_so_already_stays_as_old_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "etc/nova.conf"
    write_private(file, "[DEFAULT]\n")
    os.utime(file, (1.0, 1.0))
    write_private(file, "[DEFAULT]\n")
    assert file.stat().st_mtime == 1.0
    file.chmod(0o644)
    write_private(file, "[DEFAULT]\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    write_private(file, "[libvirt]\n")
    assert file.read_text() == "[libvirt]\n"
