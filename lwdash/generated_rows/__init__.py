"""Rows generated from a model itself, for experiments without data: ranges, start values, batch-norm statistics."""
