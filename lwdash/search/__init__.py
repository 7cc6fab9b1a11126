"""Recipe search: the space of recipes, the outcomes so far, and the next recipe to try."""
