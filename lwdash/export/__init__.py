"""Export of a live Keras model to a float .tflite."""
