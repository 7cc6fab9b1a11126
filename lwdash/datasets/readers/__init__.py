"""Reading of data files: bounded in memory, every row read or reported."""
