"""Findings on a finished run, and recipes that its metrics suggest next. Needs no TensorFlow."""
