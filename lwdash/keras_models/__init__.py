"""Keras model files: inspected without TensorFlow, loaded by the library that wrote them, bridged to Keras 2."""
