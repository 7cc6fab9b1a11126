"""The arena's plan against plans made by hand."""

from itertools import pairwise

import numpy as np
import pytest
from support.measure_models import Model

from lwdash.measure.arena import plan_arena
from lwdash.tflite.reader import read_tflite


def chain(*widths: int, dtype: str = "int8") -> bytes:
    """Operators in a row, each output as wide as given."""
    model = Model()
    tensors = [model.tensor(f"t{i}", (1, width), dtype, scale=0.1) for i, width in enumerate(widths)]
    for before, after in pairwise(tensors):
        model.operator("RELU", [before], [after])
    return model.build([tensors[0]], [tensors[-1]])


def planned(data: bytes) -> tuple[int, int]:
    plan = plan_arena(read_tflite(data))
    return plan.arena_bytes, plan.peak_bytes


def test_two_tensors_that_meet_lie_side_by_side() -> None:
    assert planned(chain(100, 40)) == (112 + 48, 112 + 48)  # 100 → 112 and 40 → 48, multiples of 16


def test_a_tensor_takes_the_place_of_one_that_is_gone() -> None:
    # 64 and 256 meet, 256 and 32 meet, 64 and 32 do not: 32 goes where 64 was.
    assert planned(chain(64, 256, 32)) == (256 + 64, 256 + 64)
    # Each is met by its neighbours alone: two buffers in turn.
    assert planned(chain(64, 64, 64, 64, 64)) == (128, 128)


def test_a_skip_connection_keeps_its_source_alive() -> None:
    model = Model()
    a, b, c, d = (model.tensor(name, (1, 64), "int8", scale=0.1) for name in "abcd")
    model.operator("RELU", [a], [b])
    model.operator("RELU", [b], [c])
    model.operator("ADD", [a, c], [d])
    assert planned(model.build([a], [d])) == (3 * 64, 3 * 64)


def test_the_largest_is_placed_first_which_can_cost_more_than_the_peak() -> None:
    # Lives: a 0–1 (48), b 1–2 (32), c 2–3 (48), d 3–3 (16). Greedy: a at 0, c at 0, b at 48, d at 48.
    assert planned(chain(48, 32, 48, 16)) == (80, 80)
    # Two inputs that live differently long: x 0–3 (64), p 0–1 (48), q 1–2 (48), r 2–3 (96), y 3.
    model = Model()
    x, p, q, r, y = (
        model.tensor(name, (1, width), "int8", scale=0.1)
        for name, width in (("x", 64), ("p", 48), ("q", 48), ("r", 96), ("y", 16))
    )
    model.operator("RELU", [p], [q])
    model.operator("RELU", [q], [r])
    model.operator("ADD", [x, r], [y])
    # r at 0, x at 96, p (meets x) at 0, q (meets x, p, r) above them at 160, y at 160.
    assert planned(model.build([x, p], [y])) == (160 + 48, 64 + 48 + 96)


def test_weights_stay_in_flash_and_types_have_their_width() -> None:
    assert planned(chain(10, 10, dtype="float32")) == (48 + 48, 96)
    assert planned(chain(10, 10, dtype="int16")) == (32 + 32, 64)
    model = Model()

    x, y = model.tensor("x", (1, 16), "int8", scale=0.1), model.tensor("y", (1, 16), "int8", scale=0.1)
    w = model.tensor("w", (16, 16), "int8", np.ones((16, 16), np.int8), scale=0.1)
    model.operator("FULLY_CONNECTED", [x, w, -1], [y])
    assert planned(model.build([x], [y])) == (32, 32)


def test_an_output_lives_to_the_end() -> None:
    model = Model()
    x, early, late = (model.tensor(name, (1, 64), "int8", scale=0.1) for name in ("x", "early", "late"))
    middle = model.tensor("middle", (1, 64), "int8", scale=0.1)
    model.operator("RELU", [x], [early])
    model.operator("RELU", [x], [middle])
    model.operator("RELU", [middle], [late])
    assert planned(model.build([x], [early, late])) == (3 * 64, 3 * 64)


@pytest.mark.parametrize(
    ("widths", "head"),
    [
        # What TensorFlow Lite Micro's print_allocations says of such files. First come, first placed would give 624, as
        # the second 208 then lies on the first, and the third, which meets the 304 as well, above both.
        ((112, 112, 208, 208, 208, 304, 304, 16), 608),
        ((304, 304, 208, 208, 208, 112), 624),
    ],
)
def test_of_equal_tensors_the_last_is_placed_first(widths: tuple[int, ...], head: int) -> None:
    assert planned(chain(*widths))[0] == head
