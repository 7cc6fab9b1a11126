"""Work of devices on the desk, and the boards and targets that an experiment has."""
