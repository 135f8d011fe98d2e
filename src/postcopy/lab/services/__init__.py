"""Real servers in lab guests: Debian's Redis and PostgreSQL, reached from outside while they move.

The guest's init is the witness as ever, and the server is its child. `service` says what there is
and what each needs; `image` makes initramfs of Debian packages; `network` gives guests a link that
follows them from host to host.
"""
