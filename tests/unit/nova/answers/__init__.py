"""What real clouds answered: `tape` keeps and plays it, `record` makes it anew, one folder each."""
