"""Additions to Streamlit's routes: uploads straight to disk, downloads, health."""
