"""Analyses of a measured run: layer sensitivity, the accuracy waterfall, data for the graph view."""
