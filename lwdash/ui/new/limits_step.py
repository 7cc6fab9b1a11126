"""The step of a new experiment where its limits are set, with what the model's weights alone take."""

from collections.abc import Mapping

import streamlit as st

from lwdash.engine.submit import MOST_THREADS
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.metrics.limits import LIMITS
from lwdash.ui.shared.number_text import size

SMALLEST_BITS = 4


def limits_step(model: ModelFacts) -> dict[str, float]:
    """The limits that were set, in the units the database has them in; none where all fields are empty."""
    weights = {bits: model.parameters * bits / 8 for bits in (32, 8, SMALLEST_BITS)}
    st.caption(
        f"What a run must keep to; leave empty what does not matter. Limits judge runs, they do not change them. The "
        f"weights alone take {size(weights[32])} in 32-bit floats, {size(weights[8])} in 8 bits and "
        f"{size(weights[SMALLEST_BITS])} in {SMALLEST_BITS} bits; the graph adds some kilobytes."
    )
    limits: dict[str, float] = {}
    for column, (key, limit) in zip(st.columns(len(LIMITS)), LIMITS.items(), strict=True):
        shown = column.number_input(
            f"{limit.label} ({limit.unit})",
            min_value=0.0,
            step=limit.step,
            format="%.6g",
            placeholder="no limit",
            help=limit.help,
            key=f"limit:{key}",
            value=None,
        )
        if shown:
            limits[key] = shown / limit.factor
    _tell(limits, weights)
    return limits


def _tell(limits: Mapping[str, float], weights: Mapping[int, float]) -> None:
    """Whether the size limit can be kept, and what it takes."""
    most = limits.get("size_bytes")
    if most is None:
        return
    if most < weights[SMALLEST_BITS]:
        words = (
            f"below the weights in {SMALLEST_BITS} bits: only fewer weights fit, with channels(…) or low_rank(…) before "
            "the number format"
        )
        st.warning(f"{size(most)} is {words}.", icon=":material/straighten:")
    elif most < weights[8]:
        st.info(
            f"{size(most)} is below the weights in 8 bits: look at 4-bit formats, channels(…) and low_rank(…).",
            icon=":material/straighten:",
        )


def threads_field() -> int:
    """With how many threads latencies are measured."""
    return int(
        st.number_input(
            "Threads for latencies", 1, MOST_THREADS, key="new:threads",
            help="Runs are compared at the same number of threads; another number makes another experiment. One is what "
            "microcontrollers and most phones' background work have.",
        )
    )  # fmt: skip
