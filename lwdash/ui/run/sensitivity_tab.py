"""The layer sensitivity on a run's page: its button, its progress, and its results."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.sensitivity_bars import describe_sensitivity, plot_sensitivity
from lwdash.engine import submit
from lwdash.settings import Settings
from lwdash.ui.run.try_recipe import try_recipe
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import NOTHING, count, percent, seconds, size
from storage import runs
from storage.analyses import SENSITIVITY, analysis_of
from storage.errors import StorageError
from storage.file_runs import is_file_recipe
from storage.neighbours import runs_of_recipes
from storage.records import StoredRun
from storage.store import Store

GOOD_DB = 40.0
"""Above this, the outputs of common classifiers are practically equal to the float file's."""


NO_SENSITIVITY = (
    "The sensitivity of a layer is the loss when it alone is quantized, starting from the float file of the run's recipe. "
    "This file was made elsewhere, and its own float file is not known. Its layers are measured as they are: the map shows "
    "the error of each one's outputs. For the sensitivity of the model itself, open a run of the same number format."
)


def show_sensitivity(settings: Settings, store: Store, run: StoredRun, *, may_start: bool = True) -> None:
    """The loss that each layer's quantization causes in this run; measured on request."""
    st.header("Layer sensitivity", anchor=False)
    if is_file_recipe(run.recipe):
        st.caption(NO_SENSITIVITY)
        return
    if run.metrics.get("generated_rows"):
        st.caption("The sensitivity of layers needs real rows, and this experiment has generated ones.")
        return
    analysis = analysis_of(store.database, run.id, SENSITIVITY)
    if analysis is not None and not analysis.has_ended:
        _follow(store, run.id)
        return
    if analysis is not None and analysis.has_succeeded and analysis.measured:
        _show_found(store, run, analysis.measured, may_start=may_start)
        return
    if analysis is not None and analysis.state == "failed":
        st.error(plain(analysis.error or "it failed without a message"), icon=":material/error:")
    st.caption(
        "Each layer of the float file is quantized alone, and then all but that layer, on up to 200 "
        "calibration rows. It takes some seconds, at most about half a minute; evaluation rows are not "
        "used for this choice."
    )
    st.button(
        "Measure each layer", key=f"sensitivity:{run.id}", icon=":material/query_stats:",
        disabled=not may_start, on_click=_start, args=(store, run.id),
    )  # fmt: skip


def _start(store: Store, run_id: int) -> None:
    try:
        submit.start_analysis(store, run_id, SENSITIVITY)
    except StorageError as error:
        st.toast(str(error), icon=":material/error:")


@st.fragment(run_every=0.5)
def _follow(_store: Store, run_id: int) -> None:
    analysis = analysis_of(_store.database, run_id, SENSITIVITY)
    if analysis is None or analysis.has_ended:
        st.rerun()
    is_running = analysis.state == "running"
    text = analysis.doing or "starting" if is_running else "waits for its turn"
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        st.progress(min(1.0, max(0.0, analysis.progress if is_running else 0.0)), text=plain(text))
        if st.button(
            "", key=f"sensitivity-cancel:{run_id}", icon=":material/close:", help="Stop measuring the layers"
        ):
            runs.cancel(_store.database, analysis.id)
            st.rerun(scope="fragment")


def _show_found(store: Store, run: StoredRun, measured: Mapping[str, Any], *, may_start: bool) -> None:
    everything, name = measured["everything"], measured["format"]
    st.caption(
        f"The float file with layers in {name}, on {count(measured['rows'])} calibration rows, ranges "
        f"from {count(measured['range_rows'])}; {seconds(measured['seconds'])}. SQNR is the ratio of the "
        f"outputs to their difference from the float file's. All layers in {name}: "
        f"{_scores_text(everything, measured)}."
    )
    _show_advice(store, run, measured, may_start=may_start)
    show_figure(
        plot_sensitivity(measured),
        alt=describe_sensitivity(measured),
        key="run:sensitivity",
        file_name="layers-to-blame",
    )
    with st.expander("As a table"):
        _show_table(measured)


def _show_advice(store: Store, run: StoredRun, measured: Mapping[str, Any], *, may_start: bool) -> None:
    chosen = next((kept for kept in measured["kept"] if kept["recipe"] == measured["advice"]), None)
    everything = measured["everything"]["sqnr_db"]
    if chosen is None:
        st.markdown(
            ":material/balance: The loss is spread over the layers: keeping the worst of them in a "
            "better format gains less than 2 dB. Try more exact activations for all (`int16x8`), or "
            "fine-tuning (`qat`)."
        )
        return
    layers = ", ".join(f"*{plain(layer)}*" for layer in chosen["layers"])
    gain = "" if everything is None else f" ({chosen['figure']['sqnr_db'] - everything:+.1f} dB)"
    more = chosen["size_bytes"] - measured["everything_bytes"]
    price = f"{size(abs(more))} {'larger' if more >= 0 else 'smaller'} than all in {measured['format']}"
    enough = (
        " The outputs are already close, so this is rarely needed." if (everything or 0.0) >= GOOD_DB else ""
    )
    st.markdown(
        f":material/lightbulb: Keep {layers} in {chosen['format']}: {_scores_text(chosen['figure'], measured)}{gain}, "
        f"{price}.{enough}"
    )
    tried = runs_of_recipes(store.database, run.experiment_id, [chosen["recipe"]])
    with st.container(horizontal=True, vertical_alignment="center"):
        st.code(chosen["recipe"], language=None, wrap_lines=True)
        try_recipe(store, run, chosen["recipe"], tried, may_start=may_start)


def _scores_text(figure: Mapping[str, Any], measured: Mapping[str, Any]) -> str:
    """`39.1 dB, accuracy 98.0 %`."""
    level = "identical outputs" if figure["sqnr_db"] is None else f"{figure['sqnr_db']:.1f} dB"
    return level if figure["value"] is None else f"{level}, {measured['measure']} {percent(figure['value'])}"


def _show_table(measured: Mapping[str, Any]) -> None:
    number = st.column_config.NumberColumn
    share = f"{(measured['measure'] or '').capitalize()} (%)"
    rows = []
    for layer in measured["layers"]:
        alone, without = layer["alone"] or {}, layer["without"] or {}
        row = {
            "Layer": layer["layer"],
            "Operators": ", ".join(layer["operators"]),
            "Weights": layer["parameters"],
            "Alone (dB)": alone.get("sqnr_db"),
            "All but it (dB)": without.get("sqnr_db"),
            "Gain (dB)": layer["gain_db"],
            "Not quantized": layer["reason"],
        }
        if measured["measure"]:
            row[f"Alone: {share}"] = _percent(alone.get("value"))
            row[f"All but it: {share}"] = _percent(without.get("value"))
        rows.append(row)
    shown = (
        {name: number(format="%.1f") for name in rows[0] if name.endswith(("(dB)", "(%)"))} if rows else {}
    )
    data_table(
        pd.DataFrame(rows), hide_index=True, placeholder=NOTHING,
        column_config={**shown, "Weights": number(format="localized")},
    )  # fmt: skip
    if measured["kept"]:
        st.caption("Files that keep the worst layers, measured in the same way:")
        data_table(
            pd.DataFrame(
                [
                    {
                        "Recipe": kept["recipe"],
                        "SQNR (dB)": kept["figure"]["sqnr_db"],
                        **({share: _percent(kept["figure"]["value"])} if measured["measure"] else {}),
                        "Bytes": kept["size_bytes"],
                    }
                    for kept in measured["kept"]
                ]
            ),
            hide_index=True,
            placeholder=NOTHING,
            column_config={
                "SQNR (dB)": number(format="%.1f"),
                share: number(format="%.1f"),
                "Bytes": number(format="localized"),
            },
        )


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
