"""What one takes away of a run: the file as a C array, and a capsule from which the run can be made again."""
