"""The map of a run's page: graph, treemap and table of its layers."""
