"""A report: one HTML file with figures and tables that needs nothing else."""
