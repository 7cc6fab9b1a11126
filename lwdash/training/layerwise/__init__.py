"""Changes of a model layer by layer, fitted to the inputs that each layer receives."""
