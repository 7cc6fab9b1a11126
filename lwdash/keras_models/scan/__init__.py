"""Checks of an uploaded model file: it must not run code, read other files, or declare more than it holds."""
