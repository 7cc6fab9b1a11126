"""Programs whose crash must not end their caller, forked from a process that has imported their libraries.

It imports nothing of lwdash but the bases, so that the process starts in a quarter of a second.
"""
