"""Lets lwdash choose the recipes: what it may choose between, what came of it so far, and what to try next."""
