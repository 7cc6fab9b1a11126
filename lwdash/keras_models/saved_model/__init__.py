"""SavedModels: described from their files, and used as functions."""
