"""Passes over a .tflite graph; each keeps what the graph computes."""
