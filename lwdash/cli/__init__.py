"""Output of the command line: records for programs, lines for people."""
