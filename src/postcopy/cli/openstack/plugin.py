"""What OpenStackClient asks of a plugin. Source: "Plugins" in OpenStackClient's documentation."""

import argparse
from typing import Any

from postcopy.nova.api import NovaApi

__all__ = ["API_NAME", "API_VERSIONS", "API_VERSION_OPTION", "build_option_parser", "make_client"]

API_NAME = "postcopy"
API_VERSION_OPTION = "os_postcopy_api_version"
API_VERSIONS = {"1": "postcopy.nova.api.NovaApi"}
DEFAULT_API_VERSION = "1"


def make_client(instance: Any) -> NovaApi:
    """Return Nova's API over OpenStackClient's own connection, with its user and its region.

    :param instance: osc-lib's ``ClientManager``.
    """
    cloud = getattr(instance._cli_options, "cloud", None) or None
    return NovaApi(cloud, connection=instance.sdk_connection)


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add nothing: there is one version of this API, and it is ours."""
    return parser
