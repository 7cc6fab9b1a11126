"""A project to flash: the model, its test rows and a program that runs them with TensorFlow Lite Micro."""
