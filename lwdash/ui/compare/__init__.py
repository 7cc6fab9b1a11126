"""Comparison of chosen runs of an experiment: metrics, recipes, layers, classes and rows."""
