"""The limits step of a new experiment, with the size of the model's weights in several formats."""

from collections.abc import Mapping

import streamlit as st

from lwdash.engine.submit import MAX_THREADS
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.metrics.limits import ACCURACY_DROP, LIMITS
from lwdash.settings import Settings
from lwdash.ui.shared.board_choice import choose_board
from lwdash.ui.shared.number_text import size
from storage.store import Store

SMALLEST_BITS = 4
IN_ROW = 3


def limits_step(
    settings: Settings, store: Store, model: ModelFacts, *, has_data: bool = True
) -> dict[str, float]:
    """The limits that were set, in stored units; none if all fields are empty.

    has_data: False leaves out the limit on the drop of accuracy, which generated rows cannot tell.
    """
    weights = {bits: model.parameters * bits / 8 for bits in (32, 8, SMALLEST_BITS)}
    st.caption(
        "Limits for the runs; leave a field empty for no limit. Limits judge runs, they do not change "
        f"them. The weights alone take {size(weights[32])} in 32-bit floats, {size(weights[8])} in 8 bits "
        f"and {size(weights[SMALLEST_BITS])} in {SMALLEST_BITS} bits; the graph adds some kilobytes."
    )
    limits: dict[str, float] = {}
    choose_board(settings, store, {key: f"limit:{key}" for key in LIMITS})
    possible = {key: limit for key, limit in LIMITS.items() if has_data or key != ACCURACY_DROP}
    if not has_data:
        st.caption("The drop of accuracy cannot be limited without data.")
    columns = [column for _ in range(0, len(possible), IN_ROW) for column in st.columns(IN_ROW)]
    for column, (key, limit) in zip(columns, possible.items(), strict=False):
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
    """Show whether the size limit can be met, and how."""
    most = limits.get("size_bytes")
    if most is None:
        return
    if most < weights[SMALLEST_BITS]:
        text = (
            f"below the weights in {SMALLEST_BITS} bits. Use fewer weights, with channels(…) or "
            "low_rank(…) before the number format"
        )
        st.warning(f"{size(most)} is {text}.", icon=":material/straighten:")
    elif most < weights[8]:
        st.info(
            f"{size(most)} is below the weights in 8 bits. Use 4-bit formats, channels(…) or low_rank(…).",
            icon=":material/straighten:",
        )


def threads_field() -> int:
    """Field for the number of threads of latency measurements."""
    return int(
        st.number_input(
            "Threads for latencies", 1, MAX_THREADS, key="new:threads",
            help="Runs are compared with the same number of threads; another number needs another "
                 "experiment. Microcontrollers and background work on most phones use one.",
        )
    )  # fmt: skip
