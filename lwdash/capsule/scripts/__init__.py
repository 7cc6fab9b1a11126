"""Scripts that are copied into every capsule; lwdash itself never runs them."""
