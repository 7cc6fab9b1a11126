"""Inspection of uploaded and given files in child processes, and findings on them."""
