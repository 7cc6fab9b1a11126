"""The overview: experiments and examples as cards, and running work."""
