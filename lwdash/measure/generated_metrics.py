"""Metrics on rows that were generated from the model: agreement under names of its own, and nothing about accuracy."""

from collections.abc import Mapping, Sequence
from typing import Any

RENAMED: Mapping[str, str] = {
    "rows": "generated_rows",
    "agreement": "agreement_generated",
    "sqnr_db": "sqnr_generated_db",
}
"""Metric on real rows → its name on generated rows. No limit, verdict or advice reads the new names as a loss."""
LAYERS_RENAMED: Mapping[str, str] = {"output_sqnr_db": "output_sqnr_generated_db"}
"""The same for metrics of layers."""
UNKNOWN = (
    "accuracy", "accuracy_ci", "recalls", "macro_f1", "mae", "rmse", "r2", "reconstruction_error", "targets", "nrmse",
    "worst_r2", "worst_target", "iou", "mean_iou", "confusion", "positions", "kl_nats", "variation_sqnr_db",
    "agreement_rows", "answers_per_row", "verdict", "verdict_details", "turned",
)  # fmt: skip
"""Metrics that stand for real rows and are None here, also under the prefix `baseline_`."""


def as_generated(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics of `Measures.to_dict`, measured on generated rows, without any that would pass for real rows."""
    found = dict(metrics)
    unknown = {key for name in UNKNOWN for key in (name, f"baseline_{name}") if key in found}
    found |= dict.fromkeys(unknown)
    for name, own in RENAMED.items():
        found[own], found[name] = metrics.get(name), None
    found["layers"] = layers_as_generated(metrics.get("layers") or ())
    found |= {"outputs": [], "flips": [], "is_baseline_below_chance": False}
    found["output_findings"] = [f"On generated rows: {text}" for text in metrics.get("output_findings") or ()]
    found["verdict_text"] = no_verdict_text(found)
    return found


def layers_as_generated(layers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of layers with the SQNR of their outputs under its name on generated rows. Weights need no rows."""
    return [
        {
            **row,
            **{own: row.get(name) for name, own in LAYERS_RENAMED.items()},
            **dict.fromkeys(LAYERS_RENAMED),
        }
        for row in layers
    ]


def no_verdict_text(metrics: Mapping[str, Any]) -> str:
    """Sentences on the agreement on generated rows, and on the unknown accuracy."""
    rows, agreement, sqnr = (metrics.get(RENAMED[name]) for name in ("rows", "agreement", "sqnr_db"))
    known = []
    if agreement is not None:
        known.append(f"the predictions agree with the original's on {100 * agreement:.1f} %")
    known.append("the outputs are identical" if sqnr is None else f"SQNR is {sqnr:.1f} dB")
    return (
        f"No verdict: the rows are generated, so the accuracy is unknown. On {rows:,} generated rows "
        f"{' and '.join(known)}."
    )
