"""CSV files of samples, turned into the arrays that a model takes."""
