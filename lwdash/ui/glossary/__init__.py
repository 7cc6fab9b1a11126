"""The glossary: every term and metric, explained once."""
