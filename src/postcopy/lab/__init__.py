"""Two real hosts on one machine, with a link between them that can be slowed, cut and broken.

Start with `postcopy.lab.lab.Lab`: it brings the hosts ``alpha`` and ``beta`` up and down and hands
out a `postcopy.lab.host.Host` to run things in, each with a libvirtd of its own.
`postcopy.lab.openstack` makes a cloud of them, with a third host for its services.
`postcopy.lab.link.DataLink` is the cable between them, and `postcopy.lab.root` builds the Debian
that both are made of. `postcopy.lab.find` finds guests, which know what their memory must hold.

A host is a set of namespaces (network, mount, UTS, IPC, PID) with a reaper as its first process
and an overlay over the cached root. Two links lead out of it: ``data`` goes straight to the other
host and carries migrations, ``control`` goes to the machine, so that a host can still be asked
what it sees when the data link is cut.
"""
