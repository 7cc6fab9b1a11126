"""What the command line says: records for programs, lines for people."""
