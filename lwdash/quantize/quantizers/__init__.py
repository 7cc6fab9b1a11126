"""The two quantizers, and forms of operators that litert-quantizer does not have."""
