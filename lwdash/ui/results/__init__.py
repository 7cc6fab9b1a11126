"""The results of one experiment: filters, charts, the table of runs, runs side by side, the report."""
