"""Rewrites of a .tflite graph that do not change its results."""
