"""lwdash: what compressing a Keras model saves, and what it costs."""

__version__ = "0.4.0"
