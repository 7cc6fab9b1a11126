"""The vocabulary of results: every metric with its unit and direction, limits, Pareto front, best run."""
