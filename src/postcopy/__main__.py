"""``python -m postcopy``: the command, for where its script is not on the path."""

from postcopy.cli import main

if __name__ == "__main__":
    main()
