"""How anybody reaches the cloud: ``clouds.yaml``, and the SDK that reads it."""

from pathlib import Path
from typing import Any

from postcopy.lab.openstack.config import REGION, Site
from postcopy.lab.openstack.passwords import write_private

__all__ = ["CLOUD", "connect", "file_of", "write"]

CLOUD = "postcopy-lab"
"""What the cloud of every lab is called: ``OS_CLOUD=postcopy-lab``."""


def file_of(directory: Path) -> Path:
    """Return the ``clouds.yaml`` of the lab with that runtime directory."""
    return directory / "clouds.yaml"


def write(site: Site, *files: Path) -> None:
    """Write the administrator's ``clouds.yaml``, which the machine and the controller can use."""
    import yaml

    auth = {
        "auth_url": site.url("keystone"),
        "username": "admin",
        "password": site.passwords.admin,
        "user_domain_name": "Default",
        "project_name": "admin",
        "project_domain_name": "Default",
    }
    cloud = {"auth": auth, "region_name": REGION, "interface": "public"}
    text = yaml.safe_dump({"clouds": {CLOUD: cloud}}, sort_keys=False)
    for file in files:
        write_private(file, text)


def connect(file: Path) -> Any:
    """Return an `openstack.connection.Connection` as that file says. It blocks when it is used.

    It goes straight to the lab, whatever proxies the environment names.
    """
    import openstack
    from openstack.config import OpenStackConfig

    region = OpenStackConfig(
        config_files=[str(file)], secure_files=[], vendor_files=[], load_envvars=False
    ).get_one(CLOUD)
    connection = openstack.connection.Connection(config=region)
    connection.session.session.trust_env = False
    return connection
