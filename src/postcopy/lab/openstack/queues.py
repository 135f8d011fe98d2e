"""Waits until somebody takes messages from each of some queues.

This is a program of its own: the controller runs it as ``python3 queues.py SECONDS QUEUE...`` with
Debian's Python, where the client library of OpenStack's own services is. The queue's address, with
its password, comes on standard input. It prints the queues that nobody serves when its time is up.
"""

import contextlib
import sys
import time
from typing import Any
from urllib.parse import urlsplit

__all__ = ["main"]

POLL_SECONDS = 0.1


def served(connection: Any, queue: str) -> bool:
    """Return whether the queue exists and has a consumer."""
    from amqp import NotFound

    channel = connection.channel()
    try:
        found = bool(channel.queue_declare(queue, passive=True).consumer_count)
    except NotFound:
        return False  # and the broker has closed the channel
    channel.close()
    return found


def main(arguments: list[str]) -> int:
    """Wait, and return the program's exit code."""
    import amqp

    address = urlsplit(sys.stdin.read().strip())
    deadline = time.monotonic() + float(arguments[0])
    waiting = arguments[1:]
    connection = amqp.Connection(
        f"{address.hostname}:{address.port}", userid=address.username, password=address.password
    )
    connection.connect()
    with contextlib.closing(connection):
        while waiting := [queue for queue in waiting if not served(connection, queue)]:
            if time.monotonic() > deadline:
                print(*waiting, sep="\n")
                return 1
            time.sleep(POLL_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
