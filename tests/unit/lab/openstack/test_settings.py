"""What can be chosen of a lab's cloud, and stays chosen."""

from pathlib import Path

import pytest

from postcopy.errors import UsageError
from postcopy.lab.openstack.settings import Settings, parse_options


def test_they_stay_until_something_else_is_asked_for(tmp_path: Path) -> None:
    assert Settings.of(tmp_path) == Settings(shared=False, nova={})
    Settings.of(tmp_path).changed(True, {"live_migration_timeout_action": "abort"}).save(tmp_path)
    kept = Settings.of(tmp_path)
    assert kept.changed(None, None) == kept
    assert kept.changed(False, None).nova == {"live_migration_timeout_action": "abort"}
    assert kept.changed(None, {}) == Settings(shared=True)


def test_options_are_read_as_a_user_writes_them() -> None:
    given = ("live_migration_completion_timeout = 5", "live_migration_permit_post_copy=false")
    assert parse_options(given) == {
        "live_migration_completion_timeout": "5",
        "live_migration_permit_post_copy": "false",
    }


@pytest.mark.parametrize(
    "text", ["live_migration_downtime", "my_ip=198.51.100.1", "live_migration_flag=X", "=1"]
)
def test_what_is_no_option_of_a_live_migration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="sets no option") as error:
        parse_options([text])
    assert "live_migration_timeout_action" in error.value.hint
