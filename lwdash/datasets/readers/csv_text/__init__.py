"""CSV files: dialect, quotes, numbers, blocks."""
