"""A server under load from outside, and how long its users wait while it moves.

`generator` is the program that asks, run in a process of its own; `answers` reads what it wrote
down, and says what that was like for a user.
"""
