"""Parameters that several post-training techniques have."""

from lwdash.parameters import Choice, Flag, Integer
from lwdash.quantize.activation_ranges import HOW
from lwdash.quantize.number_formats import ALGORITHMS

BITS = Choice(
    "Bits a weight",
    "How many bits each weight is stored in.",
    {
        "8": "practically no loss",
        "4": "half the bytes, in dense and plain convolution layers; others, and small ones where that saves time, get 8",
    },
)
ALGORITHM = Choice("Rounding", "How weights become integers.", ALGORITHMS)
ROWS = Integer("Calibration rows", "How many calibration rows set the ranges, at most.", 1, 100_000, "rows")
GPTQ_ROWS = Integer("Calibration rows", "How many calibration rows GPTQ reads, at most.", 1, 100_000, "rows")
RANGES = Choice("Ranges", "How far the range of an activation reaches.", HOW)
PER_CHANNEL = Flag(
    "A scale each channel",
    "Each output channel of a kernel has its own scale: more exact, 12 bytes a channel larger.",
)
BACKEND = Choice(
    "Quantizer",
    "Who quantizes, to compare the two.",
    {
        "litert": "litert-quantizer, from the float .tflite, in milliseconds",
        "tflite": "TensorFlow's own converter, from the Keras model, in seconds",
    },
)
