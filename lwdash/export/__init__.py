"""The way from a live Keras model to a float .tflite."""
