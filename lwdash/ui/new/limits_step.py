"""The limits step of a new experiment, with the size of the model's weights in several formats."""

import math
from collections.abc import Mapping

import streamlit as st

from lwdash.engine.devices.target_metrics import titles_of_devices
from lwdash.engine.submit import MAX_THREADS
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.metrics.limits import ACCURACY_DROP, LIMITS, limit_of
from lwdash.metrics.offers import columns_of_targets
from lwdash.settings import Settings
from lwdash.targets import target_versions
from lwdash.ui.shared.board_choice import choose_board
from lwdash.ui.shared.number_text import size
from storage.store import Store

KEPT_TARGET_LIMITS = "limit:of_targets"
"""In the session: `COLUMN=VALUE` of each limit on a target, in its shown unit; no widget, so that the draft keeps it."""
CHOSEN_COLUMNS = "limit:target_columns"
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
    limits |= _target_limits(store)
    _tell(limits, weights)
    return limits


def _target_limits(store: Store) -> dict[str, float]:
    """Fields for the metrics of targets and devices that the user chooses; Start switches their targets on."""
    names = titles_of_devices(store.database)
    installed = [name for name, version in target_versions().items() if version is not None]
    offered = {column: limit_of(column, names) for column in columns_of_targets((*names, *installed))}
    kept = dict(text.split("=", 1) for text in st.session_state.get(KEPT_TARGET_LIMITS, []) if "=" in text)
    before = st.session_state.get(CHOSEN_COLUMNS, list(kept))
    st.session_state[CHOSEN_COLUMNS] = [column for column in before if column in offered]
    chosen = st.multiselect(
        "Limits on targets and devices", list(offered), key=CHOSEN_COLUMNS, placeholder="none",
        format_func=lambda column: offered[column].label,
        help="Each adds a field. Devices are added on the System page",
    )  # fmt: skip
    limits, texts = {}, []
    columns = [place for _ in range(0, len(chosen), IN_ROW) for place in st.columns(IN_ROW)]
    for place, column in zip(columns, chosen, strict=False):
        limit, key = offered[column], f"limit:{column}"
        if key not in st.session_state:
            st.session_state[key] = _number(kept.get(column))
        shown = place.number_input(
            f"{limit.label} ({limit.unit})" if limit.unit else limit.label,
            min_value=0.0, step=limit.step, format="%.6g", placeholder="no limit", value=None, help=limit.help, key=key,
        )  # fmt: skip
        texts.append(f"{column}={'' if shown is None else f'{shown:.12g}'}")
        if shown:
            limits[column] = shown / limit.factor
    st.session_state[KEPT_TARGET_LIMITS] = texts
    return limits


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


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
