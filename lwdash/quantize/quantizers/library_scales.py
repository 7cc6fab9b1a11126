"""Scales of litert-quantizer without its lower limit: it treats every range narrower than 1e-9 as 1e-9.

The kernels of a network that scales billions down to units are that small. Rounded with such a scale they
become zeros.
"""

from functools import lru_cache, wraps
from typing import Any

import numpy as np

SMALLEST = 1e-24
"""Below this the product of two scales is not a normal float32."""


@lru_cache(maxsize=1)
def scale_freely() -> None:
    """Make litert-quantizer choose scales in the same way for large and for small ranges, in this process."""
    from litert_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor as library

    chosen = library.tensor_zp_scale_from_min_max

    @wraps(chosen)
    def scaled(min_value: Any, max_value: Any, *arguments: Any, **named: Any) -> Any:
        """The library's result for the range enlarged by a power of two, reduced again."""
        clipping = arguments[3] if len(arguments) > 3 else named.get("clipping_values")
        is_blockwise = library.is_blockwise(arguments[2] if len(arguments) > 2 else named["granularity"])
        bound = np.maximum(np.abs(min_value), np.abs(max_value)).astype(np.float64)
        if clipping is not None or is_blockwise or not (bound < 1).any():
            return chosen(min_value, max_value, *arguments, **named)
        exponent = np.where(
            bound >= SMALLEST, np.clip(-np.floor(np.log2(np.maximum(bound, SMALLEST))), 0, None), 0
        )
        factor = np.exp2(exponent).astype(np.float32)
        zero_point, scale = chosen(min_value * factor, max_value * factor, *arguments, **named)
        return zero_point, (scale / factor).astype(np.asarray(scale).dtype)

    library.tensor_zp_scale_from_min_max = scaled
