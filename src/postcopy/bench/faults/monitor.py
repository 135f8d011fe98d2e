"""A QEMU whose main thread stands still: its monitor answers nobody, its other threads go on."""

import asyncio
import threading

from postcopy import syscalls
from postcopy.bench.faults.floor import Mend
from postcopy.errors import PermissionDeniedError

__all__ = ["stop"]


async def stop(pid: int) -> Mend:
    """Stop the main thread of a process and return what lets it go on.

    The kernel lets it go on, too, when this process dies.

    :raises PermissionDeniedError: when the kernel does not permit it.
    """
    over = threading.Event()
    loop = asyncio.get_running_loop()
    held: asyncio.Future[None] = loop.create_future()

    def tell(error: OSError | None) -> None:
        if error is None:
            held.set_result(None)
        else:
            held.set_exception(error)

    def hold() -> None:
        try:
            syscalls.hold_thread(pid)
        except OSError as error:
            loop.call_soon_threadsafe(tell, error)
            return
        loop.call_soon_threadsafe(tell, None)
        over.wait()

    thread = threading.Thread(target=hold, name="holds a monitor", daemon=True)
    thread.start()
    try:
        await held
    except OSError as error:
        raise PermissionDeniedError(
            f"the main thread of process {pid} cannot be stopped: {error.strerror}",
            hint="it takes CAP_SYS_PTRACE",
        ) from error

    async def mend() -> None:
        over.set()
        await asyncio.to_thread(thread.join)

    return mend
