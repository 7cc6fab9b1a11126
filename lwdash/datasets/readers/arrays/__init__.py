"""NumPy files (.npy, .npz) as tables."""
