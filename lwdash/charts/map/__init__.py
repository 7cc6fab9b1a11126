"""Layout, folding and treemap of the map of a model."""
