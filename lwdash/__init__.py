"""lwdash: what compressing a Keras model saves, and what it costs."""

__version__ = "0.5.0"
