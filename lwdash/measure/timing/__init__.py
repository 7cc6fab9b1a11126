"""Latency of whole files in rotation, latency of single operators, and reasons for slow files."""
