"""Checks of an uploaded model file: nothing in it may run code, leave the file, or claim more than it holds."""
