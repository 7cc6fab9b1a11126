"""Pre-processing of rows: its language, and its steps."""
