"""Pruning: masks, schedules, and the two ways to fine-tune a model that loses weights."""
