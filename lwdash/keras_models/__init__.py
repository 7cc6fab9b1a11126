"""Keras model files: inspected without TensorFlow, loaded with the library that wrote them, bridged to Keras 2."""
