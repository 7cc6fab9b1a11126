"""The .tflite file format: reading, writing, tensors, operators."""
