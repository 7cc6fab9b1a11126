"""Sample files, converted to the arrays that a model takes."""
