"""The database and the artifact store: what outlives a process. Knows no technique, no figure, no page."""
