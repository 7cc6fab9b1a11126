"""Zips with one image or sound per sample as tables."""
