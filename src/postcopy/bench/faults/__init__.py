"""The fault campaign: guests are moved while links, daemons and commands break, again and again.

`plan.plan_run` chooses what happens in a run, from a seed; a `floor.Floor` has the guests and can
break things; `execute.execute` does what was planned and gathers evidence; `judge.judge` says what
became of the guest, and whether that could be helped; `campaign.Campaign` does many and can be
killed and gone on with; `figures.summarize` makes a table of them.
"""
