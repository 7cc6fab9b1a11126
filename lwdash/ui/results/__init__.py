"""The results of one experiment: filters, charts, the table of runs, comparison, the report."""
