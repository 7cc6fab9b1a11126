"""Other runtimes on this host as targets, timed in rotation with LiteRT and XNNPACK."""
