"""Runs as jobs: an embedded or shared dask scheduler, one child process per step."""
