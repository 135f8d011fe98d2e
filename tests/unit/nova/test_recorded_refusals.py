"""What real clouds refuse, in their own words, and which of our errors it becomes."""

import pytest

from postcopy.errors import NotFoundError, PermissionDeniedError, PostcopyError, RefusedError
from postcopy.nova.guards import check
from postcopy.nova.refusals import ConflictError, raise_for

from .answers.play import FOLDERS, Played, play
from .answers.tape import Exchange, response

folders = pytest.mark.parametrize("folder", FOLDERS)

REFUSALS: dict[str, tuple[type[PostcopyError], str]] = {
    "no such server": (NotFoundError, "could not be found"),
    "no such host": (RefusedError, "Compute host gamma could not be found"),
    "switch: no such migration": (NotFoundError, "Migration 4711 not found for instance"),
    "abort: no such migration": (NotFoundError, "Migration 4711 not found for instance"),
    "no such microversion": (RefusedError, "is not supported by the API"),
    "second: at once": (ConflictError, "while it is in task_state migrating"),
    "second: in pre-copy": (ConflictError, "while it is in task_state migrating"),
    "second: in post-copy": (ConflictError, "while it is in task_state migrating"),
    "switch: at once": (ConflictError, "Cannot force complete"),
    "switch: in post-copy": (ConflictError, r"is running \(post-copy\)\. Cannot force complete"),
    "switch: at the end": (ConflictError, "is in an invalid state for 'force_complete'"),
    "abort: at once": (ConflictError, "Cannot abort live migration"),
    "abort: in post-copy": (ConflictError, r"is running \(post-copy\)\. Cannot abort"),
    "abort: at the end": (ConflictError, "is in an invalid state for 'abort live migration'"),
    "shut off": (ConflictError, "while it is in vm_state stopped"),
    "a stranger: by name": (PermissionDeniedError, "Policy doesn't allow"),
    "a stranger: migrations": (PermissionDeniedError, "Policy doesn't allow"),
    "a stranger: move": (PermissionDeniedError, "migrate_live"),
    "a stranger: switch": (PermissionDeniedError, "force_complete"),
    "a stranger: abort": (PermissionDeniedError, "Policy doesn't allow"),
    "an expired token": (PostcopyError, "requires authentication"),
}


def example(played: Played, what: str) -> Exchange:
    """Return the last answer that was recorded as an example of something."""
    return [one for one in played.tape.exchanges if one.what == what][-1]


@folders
@pytest.mark.parametrize("what", REFUSALS)
def test_a_refusal_is_told_in_our_errors_and_novas_words(folder: str, what: str) -> None:
    played = play(folder, "refusals")
    kind, words = REFUSALS[what]
    with pytest.raises(kind, match=words) as error:
        raise_for(response(example(played, what)), acts=True)
    assert error.value.hint


@folders
def test_no_refusal_is_left_out(folder: str) -> None:
    tape = play(folder, "refusals").tape
    refused = {one.what for one in tape.exchanges if one.status >= 400 and one.what}
    assert refused == {*REFUSALS, "a wrong password"}


@folders
async def test_they_are_answers_to_what_our_api_asks(folder: str) -> None:
    """Everything is done again in its order; what was refused then is refused now."""
    played = play(folder, "refusals")
    api, asked = played.api, 0
    for one in played.tape.exchanges:
        if not one.acts:
            continue
        if one.status < 400:
            played.again(one)
            continue
        uuid, number = one.path.split("/")[2], one.path.split("/")[4:5]
        call = (
            api.live_migrate(uuid, one.body["os-migrateLive"]["host"])
            if not number
            else api.abort(uuid, int(number[0]))
            if one.method == "DELETE"
            else api.force_complete(uuid, int(number[0]))
        )
        with pytest.raises(REFUSALS[one.what][0], match=REFUSALS[one.what][1]):
            await call
        asked += 1
    assert asked > 12


@folders
async def test_a_stranger_learns_what_is_missing(folder: str) -> None:
    """Somebody of the same project sees the server, and not where it is."""
    played = play(folder, "refusals")
    shown = example(played, "a stranger: by uuid").answer["server"]
    with pytest.raises(RefusedError, match="does not tell where") as error:
        check("busy", "beta", shown)
    assert "administrator" in error.value.hint


@folders
async def test_a_wrong_password_is_keystones_to_refuse(folder: str) -> None:
    played = play(folder, "refusals", lambda one: one.status == 401 or one.path == "/v3")
    with pytest.raises(PermissionDeniedError, match="Keystone refuses"):
        await played.api.losses()
