"""Downloads of a run: the file as a C array, and a capsule from which the run can be reproduced."""
