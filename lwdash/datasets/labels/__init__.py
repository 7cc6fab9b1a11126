"""Labels: which columns hold them, and the task that they have for a model."""
