"""A cloud in a lab: Debian's OpenStack, with Nova moving guests between ``alpha`` and ``beta``.

Start with `postcopy.lab.openstack.cloud.ensure`, which brings it up in the hosts of a lab, and
`postcopy.lab.openstack.server.LabServer`, a witness that Nova runs. A third host, ``controller``,
has the databases, the message queue and every API; ``alpha`` and ``beta`` have a nova-compute
each, beside their libvirtd.

Everything is the distribution's own code as plain processes, with configuration that `config`
renders from data. The databases are made once and kept in the cache (`kept`), because making them
takes most of a minute; what is secret or has an address in it is set anew for each lab.
"""
