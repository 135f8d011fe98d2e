"""The command line: thin, it calls and prints. Start with `main`.

Commands are imported when they are used, so that ``postcopy --help`` answers at once.
"""

from postcopy.cli.app import main

__all__ = ["main"]
