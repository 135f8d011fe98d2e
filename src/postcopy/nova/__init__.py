"""The Nova floor: servers moved through Nova's API, and what nova.conf makes of that.

To move one, start with `driver.NovaDriver`: `search` finds the migration, `follow` watches it,
`status` judges what Nova and the hosts' libvirts say, `orders` tells Nova what to do until it is
done, `api` asks. For readiness, start with `facts.NovaFacts`; `checks` judges it and
`fixes` mends it, after the same rules, which `overrides` has as data. `options` lists the options
that are looked at: of no other does a value ever leave a host.
"""
