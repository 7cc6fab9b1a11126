"""What the server adds to Streamlit's own routes: uploads straight to disk, downloads, health."""
