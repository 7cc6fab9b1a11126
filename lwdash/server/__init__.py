"""Additions to Streamlit's routes: uploads directly to disk, downloads, health."""
