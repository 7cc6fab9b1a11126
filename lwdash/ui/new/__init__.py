"""The page for a new experiment: model, data, limits, recipes."""
