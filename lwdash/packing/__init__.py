"""Storage forms: smaller files of the same network, with the same outputs."""
