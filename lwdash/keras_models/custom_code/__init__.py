"""Python code that a user gives with a model: its custom layers and functions. It runs only in child processes."""
