"""Benchmarks: many moves of real guests in the lab, and what each way of moving costs them.

A `suite.Suite` is data: scenarios (`scenario`), methods (`method`) and repeats. `runner` goes
through it, guest by guest, and resumes where it was stopped; `execute` makes one move and measures
it; `record` keeps what came of it. `analysis` makes medians with intervals and ratios to the oracle
of that, and `page` shows them.
"""
