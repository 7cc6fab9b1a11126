"""Limits of an experiment that a board sets: the largest file and the largest arena that fit on it."""

from lwdash.targets.boards import KIB, Assumptions, Board

TYPICAL_OPERATORS = (
    "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN", "PAD", "RESHAPE", "SOFTMAX", "ADD",
)  # fmt: skip
"""Kernels of an ordinary network, whose code is taken off the flash; those of a measured file are counted exactly."""


def limits_of_board(board: Board, assumptions: Assumptions) -> dict[str, float]:
    """`size_bytes` and `arena_bytes` under the stated assumptions; a limit that the board does not set is left out.

    0 where nothing is left for a model.
    """
    if board.runtime == "litert":
        return {"size_bytes": max(0.0, (board.ram_kib - assumptions.litert_ram_kib) * KIB / 2)}
    arena = max(0.0, (board.ram_kib - assumptions.ram_allowance_kib) * KIB)
    if board.flash_kib is None:
        return {"arena_bytes": arena}
    code_kib = assumptions.runtime_flash_kib + sum(
        assumptions.kernel_kib.get(kind, assumptions.other_kernel_kib) for kind in TYPICAL_OPERATORS
    )
    return {"size_bytes": max(0.0, (board.flash_kib - code_kib) * KIB), "arena_bytes": arena}
