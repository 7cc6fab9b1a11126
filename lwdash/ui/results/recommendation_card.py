"""The card atop the results: the run to take, what it costs, where it runs, and the search for a smaller one."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.advice.evidence import Evidence
from lwdash.advice.run_findings import growth_reason
from lwdash.engine import submit
from lwdash.errors import LwdashError
from lwdash.metrics.limits import ACCURACY_DROP
from lwdash.metrics.recommendation import MARGIN, Recommendation, recommend
from lwdash.metrics.run_metrics import MEASURES, quality_of
from lwdash.metrics.technique_families import short_recipe
from lwdash.targets import TARGETS
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.addresses import download_url
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.memo import remembered
from lwdash.ui.shared.number_text import is_missing, points, ratio_text, size
from storage import run_rows
from storage.errors import StorageError
from storage.records import StoredExperiment
from storage.searches import get_searches
from storage.store import Store

GOAL, BUDGET = "size_bytes", 24
BADGES = {
    "runs": ("green", ":material/check_circle:", ""),
    "refused": ("red", ":material/block:", " refuses it"),
    "unavailable": ("gray", ":material/help:", " is not installed"),
}
"""State of a target → colour, icon, and what follows its name."""


def show_recommendation(
    store: Store, experiment: StoredExperiment, runs: pd.DataFrame, *, can_change: bool
) -> None:
    """Nothing is shown until a run besides the baseline is measured. runs: as from `results_frame`."""
    found = recommended(runs, experiment.limits)
    if found is None:
        return
    with st.container(border=True, key="recommendation", gap="small"):
        if found.run is not None:
            _taken(store, runs, found, experiment, can_change=can_change)
        else:
            _nothing(store, runs, found, experiment, can_change=can_change)


def recommended(runs: pd.DataFrame, limits: Mapping[str, float]) -> Recommendation | None:
    """`metrics.recommend`, computed once for the same runs and limits."""
    return remembered("recommended", (runs, tuple(limits.items())), lambda: recommend(runs, limits))


def _taken(
    store: Store,
    runs: pd.DataFrame,
    found: Recommendation,
    experiment: StoredExperiment,
    *,
    can_change: bool,
) -> None:
    assert found.run is not None
    run = runs[runs["id"] == found.run].iloc[0].to_dict()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(
            f"## :material/verified: {plain(found.headline)}: {plain(short_recipe(str(run['name'])))}",
            width="content",
        )
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            st.link_button(
                "Download .tflite", download_url(found.run), icon=":material/download:", type="primary"
            )
            st.page_link(
                page_paths.RUN,
                label="Details",
                icon=":material/layers:",
                query_params={"run": str(found.run)},
            )
    with st.container(horizontal=True, key="figures-recommendation"):
        for label, value, below in (_size(run), _quality(runs, run), _speed(run)):
            with st.container(gap=None):
                st.metric(label, value)
                st.caption(below)
        with st.container(gap=None):
            _where_it_runs(store, found.run)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(plain(found.reason) + _under_way(runs), width="content")
        _try_smaller(store, experiment, runs, can_change=can_change)


def _nothing(
    store: Store,
    runs: pd.DataFrame,
    found: Recommendation,
    experiment: StoredExperiment,
    *,
    can_change: bool,
) -> None:
    st.markdown(f"## :material/balance: {plain(found.headline)}")
    text = plain(found.reason)
    if found.nearest is not None:
        text += _why_it_grew(store, found.nearest, runs)
    st.markdown(text + _under_way(runs))
    with st.container(horizontal=True, vertical_alignment="center"):
        if found.nearest is not None:
            st.page_link(
                page_paths.RUN,
                label=f"Run {found.nearest}",
                icon=":material/layers:",
                query_params={"run": str(found.nearest)},
            )
        _try_smaller(store, experiment, runs, can_change=can_change)


def _size(run: Mapping[str, Any]) -> tuple[str, str, str]:
    factor = run["smaller"]
    below = "" if is_missing(factor) else ratio_text(factor, "smaller", "larger")
    stored = run.get("stored_bytes")
    if not is_missing(stored) and stored != run["size_bytes"]:
        below += f", {size(stored)} as stored"
    return "Size", size(run["size_bytes"]), below


def _quality(runs: pd.DataFrame, run: Mapping[str, Any]) -> tuple[str, str, str]:
    """The quality metric, and its difference to the baseline with the 95 % interval of the paired comparison."""
    measure = quality_of(runs)
    details = run.get("verdict_details")
    interval = details.get("interval") if isinstance(details, Mapping) else None
    below = ""
    if not is_missing(run["accuracy_change"]):
        below = points(run["accuracy_change"])
        if interval:
            low, high = (points(bound).removesuffix(" points") for bound in interval)
            below += f" (95 % interval {low} to {high})"
    elif interval:
        low, high = (f"{bound:+.3g}".replace("-", "−") for bound in interval)
        below = f"change {low} to {high} (95 % interval)"
    return measure.label, measure.write(run[measure.column]), below


def _speed(run: Mapping[str, Any]) -> tuple[str, str, str]:
    speedup, bounds = run["speedup"], run["speedup_ci"]
    if is_missing(speedup):
        return "Speed", "–", "not measured"
    between = f"{bounds[0]:.2f}× to {bounds[1]:.2f}×" if isinstance(bounds, (list, tuple)) else ""
    latency = MEASURES["latency_ms_p50"].write(run["latency_ms_p50"])
    if isinstance(bounds, (list, tuple)) and bounds[0] <= 1 <= bounds[1]:
        return "Speed", "as fast", f"{between}, {latency}"
    mark = ":orange[:material/warning:] " if speedup < 1 else ""
    return "Speed", ratio_text(speedup, "faster", "slower"), f"{mark}speed-up {between}, {latency}"


def _where_it_runs(store: Store, run_id: int) -> None:
    targets = run_rows.get_detail(store.database, run_id).measured.get("targets") or {}
    st.markdown(":small[Where it runs]")
    badges = [":green-badge[:material/check_circle: LiteRT]"]
    for name, target in TARGETS.items():
        if name in targets:
            colour, icon, words = BADGES[targets[name]["state"]]
            badges.append(f":{colour}-badge[{icon} {target.LABEL}{words}]")
    st.markdown(" ".join(badges))


def _why_it_grew(store: Store, run_id: int, runs: pd.DataFrame) -> str:
    run = runs[runs["id"] == run_id].iloc[0].to_dict()
    detail = run_rows.get_detail(store.database, run_id)
    why = growth_reason(Evidence(str(run["recipe"]), run, detail.compressed, detail.measured))
    return f" {plain(why)}" if why else ""


def _under_way(runs: pd.DataFrame) -> str:
    waiting = int(runs["state"].isin(["queued", "running"]).sum())
    return f" {waiting:,} more {'run is' if waiting == 1 else 'runs are'} under way." if waiting else ""


def _try_smaller(store: Store, experiment: StoredExperiment, runs: pd.DataFrame, *, can_change: bool) -> None:
    if (
        experiment.generated
        or not can_change
        or any(search.is_running for search in get_searches(store.database, experiment.id))
    ):
        return
    has_share = runs["accuracy"].notna().any() or runs["agreement"].notna().any()
    limits = {ACCURACY_DROP: MARGIN} if has_share and not experiment.limits else {}
    kept = (
        "within your limits"
        if experiment.limits
        else "that lose at most 1 point of accuracy"
        if limits
        else "of high quality"
    )
    if st.button(
        "Try smaller", key="recommendation:smaller", icon=":material/travel_explore:",
        help=f"Starts a search of at most {BUDGET} runs for smaller files {kept}. You can stop it at any time",
    ):  # fmt: skip
        try:
            submit.start_search(store, experiment.id, goal=GOAL, budget=BUDGET, limits=limits)
        except (LwdashError, StorageError) as error:
            st.error(plain(str(error)), icon=":material/error:")
            return
        st.rerun()
