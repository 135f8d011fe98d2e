"""``openstack postcopy``: the functions of the command `postcopy`, for OpenStackClient's users.

OpenStackClient finds `plugin` and `commands` by entry points, and brings cliff and osc-lib along;
nothing else imports them.
"""
