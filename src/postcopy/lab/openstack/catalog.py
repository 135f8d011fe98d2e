"""What Keystone knows besides its administrator: the services, where they are, and who they are."""

from typing import Any

from postcopy.lab.openstack.config import CATALOG, REGION, Site

__all__ = ["register"]

_ROLES = ("admin", "service")
_INTERFACES = ("public", "internal")


def register(cloud: Any, site: Site) -> None:
    """Enter every service into the catalogue, and give each a user of its own. It blocks.

    :param cloud: a connection to a Keystone that has its administrator and nothing else.
    """
    identity = cloud.identity
    domain = identity.find_domain("Default", ignore_missing=False)
    project = identity.create_project(name="service", domain_id=domain.id)
    # Keystone makes the second by itself from 2023.1 on.
    roles = [identity.find_role(name) or identity.create_role(name=name) for name in _ROLES]
    for name, (kind, _) in CATALOG.items():
        if name == "keystone":
            continue  # its own bootstrap has entered that
        service = identity.create_service(name=name, type=kind)
        for interface in _INTERFACES:
            identity.create_endpoint(
                service_id=service.id, interface=interface, region_id=REGION, url=site.url(name)
            )
        user = identity.create_user(name=name, password=site.passwords.service, domain_id=domain.id)
        for role in roles:
            identity.assign_project_role_to_user(project, user, role)
