"""Latency: of whole files in rotation, of single operators, and the reasons for it."""
