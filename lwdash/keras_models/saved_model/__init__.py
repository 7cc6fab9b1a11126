"""SavedModels: described from their files, and served as functions."""
