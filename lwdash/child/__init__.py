"""The child process of a step: its entry, its jobs, and its link to the supervisor."""
