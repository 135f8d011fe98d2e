"""Many moves and many faults, measured: what is claimed of post-copy is put to the test here.

A `suite.Suite` is data: scenarios (`scenario`), methods (`method`) and repeats. `runner` goes
through it, guest by guest, and resumes where it was stopped; `execute` makes one move and measures
it; `record` keeps what came of it. `analysis` makes medians with intervals and ratios to the oracle
of that, and `page` shows them. `postcopy.bench.faults` breaks links, daemons and commands while
guests move.
"""
