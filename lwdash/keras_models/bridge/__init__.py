"""The bridge from Keras 3 to Keras 2 and back, for techniques that need Keras 2 models."""
