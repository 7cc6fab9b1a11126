"""A report: one self-contained HTML file with figures and tables."""
