"""The bridge from Keras 3 to Keras 2 and back, for what only Keras 2 models can be treated with."""
