"""Post-training quantization: quantizers, ranges, what a file computes in, and its audit."""
