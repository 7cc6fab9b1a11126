"""Runs a recipe: from a Keras file through cached stages to a checked .tflite."""
