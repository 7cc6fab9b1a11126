"""The whole server in a process of its own: sign-in, attacks, what it says when it cannot start."""
