"""Values for the kernels of a file or a model that few bits can store, chosen for a small error."""
