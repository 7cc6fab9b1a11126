"""The trade-off chart, from a frame of runs to the figure."""
