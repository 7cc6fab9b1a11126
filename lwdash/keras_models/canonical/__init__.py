"""The canonical form of all models: any batch size, float32, channels_last, a fresh state for every row."""
