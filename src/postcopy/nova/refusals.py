"""Why the cloud did not do something, as one of the fates of `postcopy.errors`."""

import re
from typing import Any

from postcopy.errors import (
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PostcopyError,
    RefusedError,
    RetryableError,
    UnavailableError,
    UsageError,
)

__all__ = ["ConflictError", "explain", "raise_for"]


class ConflictError(RefusedError):
    """Nova will not do it in the state that the server or the migration is in now."""


def explain(error: Exception, cloud: str, *, acts: bool) -> PostcopyError:
    """Tell an error of the SDK's, where Nova did not answer at all.

    :param cloud: what to call the cloud.
    :param acts: whether something was to change, so that a lost answer leaves open whether it did.
    """
    from keystoneauth1 import exceptions as auth
    from openstack.exceptions import ConfigException

    words = " ".join(str(error).split())
    if isinstance(error, ConfigException):
        return UsageError(
            f"{cloud}: {words}",
            hint="name one of clouds.yaml's clouds: --os-cloud NAME, or OS_CLOUD",
        )
    if isinstance(error, auth.Unauthorized | auth.MissingRequiredOptions):
        return PermissionDeniedError(
            f"{cloud}: Keystone refuses: {words}",
            hint="are user, password and project right in clouds.yaml?",
        )
    never_sent = "Failed to establish a new connection" in words
    if acts and isinstance(error, auth.ConnectionError) and not never_sent:
        return OutcomeUnknownError(
            f"{cloud}: Nova's answer was lost: {words}", hint="look before trying again"
        )
    return UnavailableError(
        f"{cloud} does not answer: {words}", hint="try it: openstack --os-cloud NAME server list"
    )


_NO_MIGRATION = re.compile(r"Migration \S+ not found")
"""Nova's words for a migration that it does not have, which come with 400 or 404 by the call."""


def raise_for(answer: Any, *, acts: bool, who: str = "Nova") -> None:
    """Tell a refusal in our words.

    :param acts: whether something was to change; Nova may fail to answer after it has done it.
    :param who: whose answer it is.
    :raises PostcopyError: for any status but success.
    """
    status = int(answer.status_code)
    if status < 400:
        return
    words = f"{who} says: {_message(answer) or f'status {status}'}"
    error: PostcopyError
    if status == 401:
        error = RetryableError(words, hint="the token was refused; are the credentials still good?")
    elif status == 403:
        error = PermissionDeniedError(
            words, hint="live migrations need an administrator's rights; or a quota is used up"
        )
    elif status == 404 or (status == 400 and _NO_MIGRATION.search(words)):
        error = NotFoundError(words, hint="has it been deleted, or has it ended meanwhile?")
    elif status == 409 or (status == 400 and "state" in words):
        error = ConflictError(words, hint="openstack server show says what else goes on with it")
    elif status == 429 or status == 413:
        error = RetryableError(words, hint="the cloud bounds how often it may be asked")
    elif status >= 500 and acts:
        error = OutcomeUnknownError(words, hint="look before trying again; Nova's log says why")
    elif status >= 500:
        error = RetryableError(words, hint="Nova's own log says why")
    else:
        error = RefusedError(words, hint="openstack server show, and Nova's own log, may say more")
    raise error


def _message(answer: Any) -> str:
    try:
        return str(next(iter(answer.json().values()))["message"])
    except (ValueError, StopIteration, KeyError, TypeError, AttributeError):
        return str(answer.text)[:200].strip()
