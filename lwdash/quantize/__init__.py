"""Post-training quantization: quantizers, ranges, formats read back from a file, and its audit."""
