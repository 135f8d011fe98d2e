"""What runs on a host that is looked at: the standard library alone, and nothing is changed.

Each floor has a module `probe` with a function `collect`; `postcopy.hosts.program` makes one file
of them, which any host with a Python 3.9 runs from its standard input. Start with `main`.
"""
