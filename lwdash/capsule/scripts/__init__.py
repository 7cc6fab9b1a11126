"""Scripts that go into every capsule as they are here; lwdash itself never runs them."""
