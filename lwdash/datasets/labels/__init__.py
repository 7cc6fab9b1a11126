"""Labels: their columns, and the task that they define for a model."""
