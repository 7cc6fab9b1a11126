"""The metrics of one run in the form that advice uses: its losses, their layers, its recipe's parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lwdash.errors import RecipeError
from lwdash.recipe import Recipe, parse_recipe

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
FLOATS = ("float32", "float16", "bfloat16")
LOST_DB = 10.0
"""Below this SQNR of its variation, an output's error is more than a third of its variation."""
GOOD_SQNR_DB = 30.0
"""Outputs this close to the original's (error 0.1 % of the signal's power) rarely change a decision."""


@dataclass(frozen=True)
class LostSignal:
    """The layer with weights where the signal drops most: `after_db` behind it, `before_db` in front of it."""

    layer: str
    before_db: float | None
    after_db: float


@dataclass(frozen=True, eq=False)
class Evidence:
    """One run as stored in the database. Metrics that were not measured are missing or None.

    metrics: of the whole file, `is_baseline` among them. compressed, measured: as in `get_detail`. can_train:
    True if keras-stage techniques can work on the model.
    """

    recipe_text: str
    metrics: Mapping[str, Any]
    compressed: Mapping[str, Any]
    measured: Mapping[str, Any]
    can_train: bool = True

    @cached_property
    def recipe(self) -> Recipe | None:
        """None for a recipe that this version no longer reads."""
        try:
            return parse_recipe(self.recipe_text)
        except RecipeError:
            return None

    @property
    def is_on_generated_rows(self) -> bool:
        """True if the rows were generated from the model, so that no loss is known."""
        return bool(self.metrics.get("generated_rows"))

    @property
    def layers(self) -> Sequence[Mapping[str, Any]]:
        return self.measured.get("layers") or ()

    @property
    def stages(self) -> Sequence[Mapping[str, Any]]:
        return self.compressed.get("stages") or ()

    @property
    def unrolled_steps(self) -> int:
        """Number of time steps that the recurrent layers of an integer file were unrolled to; 0 if they are loops."""
        facts = [stage["facts"] for stage in self.stages]
        is_unrolled = any("unrolled" in str(f.get("made_by", "")) for f in facts)
        return next((int(f["time_steps"]) for f in facts if f.get("time_steps")), 0) if is_unrolled else 0

    @property
    def growth(self) -> float | None:
        """Size of the file divided by the size of its float baseline; None where one was not measured."""
        size, before = self.metrics.get("size_bytes"), self.metrics.get("baseline_size_bytes")
        return size / before if size and before else None

    @property
    def has_grown_unrolled(self) -> bool:
        """True for an integer file of unrolled recurrent layers that is larger than the float file."""
        return self.unrolled_steps > 0 and self.growth is not None and self.growth > 1

    @property
    def difference(self) -> float | None:
        """Difference to the baseline as a share (positive is better): accuracy, or agreement − 1 without labels."""
        accuracy, baseline = self.metrics.get("accuracy"), self.metrics.get("baseline_accuracy")
        if accuracy is not None and baseline is not None:
            return accuracy - baseline
        agreement = self.metrics.get("agreement")
        return None if agreement is None else agreement - 1.0

    @property
    def lost_outputs(self) -> str:
        """Message on lost outputs; empty if none was lost, or if the original's outputs carry no information."""
        lost = [
            output
            for output in self.metrics.get("outputs") or ()
            if output.get("is_constant") or (output.get("variation_sqnr_db") or LOST_DB) < LOST_DB
        ]
        if not lost:
            return ""
        worst = min(lost, key=lambda output: output.get("variation_sqnr_db") or 0.0)
        number = worst.get("worst_target")
        which = f"output '{worst['name']}'" if number is None else f"number {number + 1} of '{worst['name']}'"
        return f"{which[0].upper()}{which[1:]} no longer follows the original."

    @property
    def last_layer(self) -> str | None:
        """The Keras layer of the last operator, if recipes can name it."""
        computing = [row for row in self.layers if row["type"] not in CONVERSIONS and not row.get("subgraph")]
        return computing[-1]["layer"] if computing and is_nameable(computing[-1]) else None

    @property
    def has_lost(self) -> bool:
        """True for any visible loss: a worse verdict, more wrong rows, or (without either) a weak signal."""
        if self.lost_outputs:
            return True
        if self.metrics.get("verdict") in ("worse", "better", "equivalent"):
            return self.metrics["verdict"] == "worse"
        if self.difference is not None:
            return self.difference < 0
        sqnr = self.metrics.get("sqnr_db")
        return sqnr is not None and sqnr < GOOD_SQNR_DB

    @property
    def quantization_sqnr_db(self) -> float | None:
        """Signal after quantization alone, compared with the float file that it started from."""
        is_plain = self.recipe is not None and not self.recipe.keras_steps
        own = self._stage_sqnr_db
        return own if own is not None else self.metrics.get("sqnr_db") if is_plain else None

    @property
    def quantization_rows(self) -> str:
        """Name of the rows that `quantization_sqnr_db` was measured on. The compression stage does not have
        the evaluation rows.
        """
        return "evaluation" if self._stage_sqnr_db is None else "calibration"

    @property
    def _stage_sqnr_db(self) -> float | None:
        return next(
            (s["facts"]["sqnr_db"] for s in self.stages if s["facts"].get("sqnr_db") is not None), None
        )

    @property
    def has_rounding_lost(self) -> bool:
        """True if the number format causes the loss: a weak signal after quantization alone, or a loss
        without training.
        """
        sqnr = self.quantization_sqnr_db
        if self.lost_outputs and self.recipe is not None and not self.recipe.keras_steps:
            return True
        if sqnr is not None and sqnr < GOOD_SQNR_DB:
            return True
        return self.has_lost and self.recipe is not None and not self.recipe.keras_steps

    @property
    def loss_text(self) -> str:
        """The loss as a clause: `accuracy −1.2 points`."""
        if self.metrics.get("accuracy") is not None and self.difference is not None:
            if round(1000 * self.difference) == 0:
                return "the same accuracy as the original"
            text = f"accuracy {100 * self.difference:+.1f} points".replace("-", "−")
            rows = self.metrics.get("rows")
            is_open = self.metrics.get("verdict") == "cannot tell" and rows
            return f"{text} (not significant with {rows:,} rows)" if is_open else text
        if self.difference is not None:
            return f"{-100 * self.difference:.1f} % of the rows get another class than with the original"
        sqnr = self.metrics.get("sqnr_db")
        return "the outputs differ" if sqnr is None else f"outputs at {sqnr:.1f} dB SQNR"

    @cached_property
    def lost_signal(self) -> LostSignal | None:
        """The Keras layer with weights that lowers the output SQNR most, among those that recipes can name."""
        worst: LostSignal | None = None
        deepest = 0.0
        before: float | None = None
        for row in self.layers:
            after = row.get("output_sqnr_db")
            if after is None or row.get("subgraph"):
                continue
            drop = (60.0 if before is None else before) - after
            if row.get("kernel_values") and is_nameable(row) and drop > deepest:
                worst, deepest = LostSignal(row["layer"], before, after), drop
            before = after
        return worst

    @cached_property
    def float_operators(self) -> Sequence[str]:
        """Types of the operators that compute in float although the recipe asks for integers throughout."""
        step = self.recipe.tflite_step if self.recipe else None
        if step is None or step.name not in ("int8", "int16x8"):
            return ()
        return [
            row["type"]
            for row in self.layers
            if row["type"] not in CONVERSIONS
            and (row.get("input_dtype") in FLOATS or row.get("output_dtype") in FLOATS)
        ]

    @property
    def calibration_rows(self) -> int | None:
        """Number of rows that set the ranges."""
        return next(
            (s["facts"]["calibration_rows"] for s in self.stages if "calibration_rows" in s["facts"]), None
        )

    @property
    def audit(self) -> Sequence[Mapping[str, Any]]:
        """Zeros and shared values that the file kept, kernel by kernel."""
        return next((s["facts"]["audit"] for s in self.stages if "audit" in s["facts"]), ())


def is_nameable(row: Mapping[str, Any]) -> bool:
    """True if `mixed` can select this operator by its Keras layer's name: its kernel's, else its output's."""
    layer, path = row.get("layer"), str(row.get("name", "")).rpartition("/")[0]
    return bool(layer) and (bool(row.get("kernel_values")) or path == layer or path.endswith(f"/{layer}"))
