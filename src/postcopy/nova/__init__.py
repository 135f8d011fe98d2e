"""The Nova floor: what nova-compute's configuration makes of live migration, and what mends it.

Start with `facts.NovaFacts`; `checks` judges it and `fixes` mends it, after the same rules, which
`overrides` has as data. `options` lists the options that are looked at: of no other does a value
ever leave a host.
"""
