import asyncio
import os
import signal

import pytest

from postcopy.cli.signals import ENDING, ended_by_sigterm, handled


def test_sigterm_ends_a_command_as_ctrl_c_does_once_it_has_cleaned_up() -> None:
    done = []

    async def command() -> None:
        with ended_by_sigterm():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.sleep(30)
            finally:
                await asyncio.sleep(0)  # cleaning up is not cut short
                done.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(command())
    assert done == ["cleaned up"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_cancellation_that_no_signal_asked_for_stays_one() -> None:
    async def command() -> None:
        task = asyncio.current_task()
        assert task is not None
        with ended_by_sigterm():
            task.cancel()
            await asyncio.sleep(30)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(command())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_may_stop_another_task_and_nothing_else(number: signal.Signals) -> None:
    async def command() -> str:
        task = asyncio.create_task(asyncio.sleep(30))
        with handled(ENDING, task.cancel):
            os.kill(os.getpid(), number)
            await asyncio.wait([task])
        return "stopped" if task.cancelled() else "not stopped"

    assert asyncio.run(command()) == "stopped"
