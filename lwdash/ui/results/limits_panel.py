"""The experiment's limits: a form for them, and which run is the best that keeps them."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from lwdash.metrics.limits import LIMITS, best, keeps_all, kept
from lwdash.metrics.run_metrics import MEASURES, quality_of
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.addresses import download_url
from lwdash.ui.shared.markdown_text import plain
from storage.annotations import set_limits
from storage.store import Store


def edit_limits(store: Store, experiment_id: int, limits: Mapping[str, float]) -> None:
    """A menu with a field for each limit; an empty field is no limit."""
    with (
        st.popover("Limits", icon=":material/rule:"),
        st.form(f"results:limits:{experiment_id}", border=False),
    ):
        values: dict[str, float | None] = {}
        for key, limit in LIMITS.items():
            now = limits.get(key)
            shown = st.number_input(
                f"{limit.label} ({limit.unit})", min_value=0.0, step=limit.step, format="%.6g", placeholder="no limit",
                value=None if now is None else float(now) * limit.factor, help=limit.help,
                key=f"results:limit:{experiment_id}:{key}:{now}", width=300,
            )  # fmt: skip
            values[key] = None if shown is None else shown / limit.factor
        if st.form_submit_button("Save", icon=":material/save:", type="primary"):
            set_limits(store.database, experiment_id, values)
            st.rerun()


def show_best(runs: pd.DataFrame, limits: Mapping[str, float]) -> None:
    """The sentence at the top: the best run under the limits, or which limit is in the way."""
    if not limits or not (runs["state"] == "succeeded").any():
        return
    done = runs[(runs["state"] == "succeeded") & ~runs["is_baseline"].astype(bool)]
    if done.empty:
        return
    able = int(keeps_all(done, limits).sum())
    chosen = best(done, limits)
    if chosen is None:
        st.warning(_in_the_way(done, limits), icon=":material/rule:")
        return
    run = done[done["id"] == chosen].iloc[0]
    quality = quality_of(done)
    figures = [MEASURES["size_bytes"].write(run["size_bytes"])]
    if run["smaller"] == run["smaller"]:
        figures[0] += f" ({run['smaller']:.2f}× smaller)"
    figures.append(f"{quality.label.lower()} {quality.write(run[quality.column])}")
    for column in ("latency_ms_p50", "arena_bytes"):
        if run[column] == run[column]:
            figures.append(
                f"{MEASURES[column].label[0].lower()}{MEASURES[column].label[1:]} {MEASURES[column].write(run[column])}"
            )
    of = "the only run that keeps" if able == 1 else f"the best of {able:,} runs that keep"
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        found = f"**Best under your limits: {plain(str(run['name']))}** · {plain(', '.join(figures))}"
        st.markdown(f":material/verified: {found}  \n:small[{of} all limits ({plain(words(limits))})]")
        with st.container(horizontal=True, width="content"):
            st.link_button("Download .tflite", download_url(chosen), icon=":material/download:")
            st.page_link(
                page_paths.RUN, label="Details", icon=":material/layers:", query_params={"run": str(chosen)}
            )


def words(limits: Mapping[str, float]) -> str:
    """`size ≤ 20 kB, drop of accuracy ≤ 1 point`."""
    names = {
        "size_bytes": "size",
        "accuracy_drop": "drop of accuracy",
        "latency_ms": "latency p50",
        "arena_bytes": "arena",
    }
    figures = {
        key: f"{float(limits[key]) * limit.factor:,.4g} {limit.unit}"
        for key, limit in LIMITS.items()
        if limits.get(key) is not None
    }
    return ", ".join(
        f"{names[key]} ≤ {'1 point' if figure == '1 points' else figure}" for key, figure in figures.items()
    )


def _in_the_way(done: pd.DataFrame, limits: Mapping[str, float]) -> str:
    """No run keeps all limits: how many keep each of them, and which was never measured."""
    table = kept(done, limits)
    parts = []
    for key in table:
        name = words({key: limits[key]})
        parts.append(
            f"{name} was measured on no run" if table[key].isna().all()
            else f"{int((table[key] == 1.0).sum()):,} of {len(done):,} keep {name}"
        )  # fmt: skip
    return plain(f"No run keeps all of your limits: {'; '.join(parts)}.")
