"""Metrics of a .tflite: size, layers, accuracy, verdict, latency. No TensorFlow in this folder."""
