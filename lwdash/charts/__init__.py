"""Plotly figures, each a pure function of a DataFrame."""
