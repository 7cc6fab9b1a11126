"""The page of one run: its headline, and a tab for each subject."""
