"""Output shapes of the layers of a network, computed without Keras."""
