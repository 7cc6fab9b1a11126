"""The columns of the table of runs: headings, formats, and the user's choice."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lwdash.metrics.limits import limit_of, limited_values, limits_met, meets_all_limits
from lwdash.metrics.offers import target_metric
from lwdash.metrics.run_groups import RunGroups
from lwdash.metrics.run_metrics import MEASURES, Measure, quality_of
from lwdash.metrics.target_values import heading_of, measure_of, names_in
from lwdash.metrics.technique_families import short_recipe
from lwdash.metrics.verdict_labels import verdict_label
from lwdash.ui.results.run_frame import known_measures
from lwdash.ui.results.view_state import DESCENDING, OWN_COLUMNS, SORT, settle
from lwdash.ui.shared.addresses import download_url, run_url
from lwdash.ui.shared.memo import remembered
from lwdash.ui.shared.number_text import utc
from storage.annotations import get_preference, set_preference
from storage.store import Store
from storage.visitors import NotAllowed

PREFERENCE = "results:columns"
CHOSEN_COLUMNS = "results:chosen_columns"
"""The key of the field with the columns."""
SHORT = {
    "size_bytes": "Size (kB)", "gzip_bytes": "Gzip (kB)", "huffman_bytes": "Huffman (kB)", "weight_bytes": "Weights (kB)",
    "smaller": "Smaller", "accuracy_change": "Change (pp)", "agreement": "Agreement (%)", "sqnr_db": "SQNR (dB)",
    "agreement_generated": "Agreement, generated rows (%)", "sqnr_generated_db": "SQNR, generated rows (dB)",
    "latency_ms_p50": "p50 (µs)", "latency_ms_p90": "p90 (µs)", "latency_ms_p99": "p99 (µs)", "speedup": "Speed-up",
    "cold_start_ms": "First (µs)", "sparsity": "Zeros (%)", "kl_nats": "KL (nats)", "run_seconds": "Took (s)",
    "macro_f1": "F1 (%)", "mean_iou": "IoU (%)", "nrmse": "Worst target", "worst_r2": "Worst R²",
    "variation_sqnr_db": "Variation (dB)", "rmse": "RMSE", "mae": "MAE", "reconstruction_error": "Reconstruction",
}  # fmt: skip
OTHERS = {
    "state": "State", "verdict": "Verdict", "limits": "Limits", "tags": "Tags", "note": "Note", "made": "Started",
    "host": "Host", "file": "File",
}  # fmt: skip
"""Column → its heading, for columns that are not metrics."""


USUAL_OF_HOSTS = ("latency_ms_p50", "speedup")
"""Metrics of devices and other runtimes that are shown before any choice."""


def default_columns(runs: pd.DataFrame, limits: Mapping[str, float]) -> list[str]:
    """Columns before any choice: columns on state and host only if they differ between runs."""
    known = [measure.column for measure in known_measures(runs)]
    wanted = ["state"] if (runs["state"] != "succeeded").any() else []
    wanted += [
        "size_bytes",
        "smaller",
        "gzip_bytes",
        quality_of(runs).column,
        "accuracy_change",
        "verdict",
        "limits",
    ]
    wanted += [
        "latency_ms_p50",
        "speedup",
        *(column for column in known if column not in MEASURES and is_usual(column, limits)),
        *(["arena_bytes"] if "arena_bytes" in limits else []),
        "sparsity",
        "tags",
        "note",
        "host",
        "file",
    ]
    absent = {
        "limits": not limits,
        "tags": not runs["tags"].map(bool).any(),
        "note": not runs["note"].map(bool).any(),
        "host": runs["host_name"].nunique() < 2,
        "file": not known,
        "verdict": not known or not runs["verdict"].notna().any(),
    }
    return [column for column in wanted if not absent.get(column, column in MEASURES and column not in known)]


def is_usual(column: str, limits: Mapping[str, float]) -> bool:
    """True for a metric of a target that the table shows before any choice: a limit holds for it, or it is a speed."""
    metric = target_metric(column)
    return column in limits or (
        metric is not None and metric.offering.is_of_host and metric.offer.name in USUAL_OF_HOSTS
    )


def choose_columns(store: Store, owner: str, runs: pd.DataFrame, limits: Mapping[str, float]) -> list[str]:
    """The menu of columns and their order, which is stored for the user, for every experiment; and of the order of rows,
    which is in the address. With columns from the address, as in a saved view, a change is of this visit only.
    """
    known = known_measures(runs)
    titles = names_in(runs)
    names = {measure.column: _heading(measure, titles) for measure in known} | OTHERS
    of_view: list[str] = st.session_state.get(OWN_COLUMNS) or []
    own = saved_columns(store, owner)
    key = (runs, tuple(limits.items()))
    usual = remembered("usual", key, lambda: default_columns(runs, limits))
    start = [column for column in of_view or own or usual if column in names]

    def keep(columns: list[str]) -> None:
        try:
            set_preference(store.database, owner, PREFERENCE, {"columns": columns})
            st.session_state[OWN_COLUMNS] = []
        except NotAllowed:  # a visitor with a share link: the choice then lasts for this visit
            st.session_state[OWN_COLUMNS] = columns

    def chosen() -> None:
        columns = st.session_state[CHOSEN_COLUMNS]
        if of_view:
            st.session_state[OWN_COLUMNS] = columns
        else:
            keep(columns)

    with st.popover("Columns", icon=":material/view_column:"):
        st.session_state[CHOSEN_COLUMNS] = start
        st.multiselect(
            "Columns, in this order",
            list(names),
            key=CHOSEN_COLUMNS,
            format_func=names.__getitem__,
            on_change=chosen,
            width=420,
        )
        if of_view:
            st.caption("These columns are of this view. Changes to them do not touch your own.")
            with st.container(horizontal=True):
                st.button(
                    "Show my columns", key="results:my_columns", help="As on all other experiments",
                    on_click=lambda: st.session_state.update({OWN_COLUMNS: []}),
                )  # fmt: skip
                st.button(
                    "Make these my columns", key="results:keep_columns", on_click=keep, args=(start,),
                    help="For all experiments",
                )  # fmt: skip
        else:
            st.button(
                "Reset columns", key="results:reset_columns", on_click=keep, args=([],), disabled=not own
            )
        sortable = ["", *(measure.column for measure in known), "made"]
        settle(SORT, sortable, "")
        st.selectbox(
            "Rows sorted by", sortable, key=SORT, width=420,
            format_func=lambda column: names[column] if column else "Number of the run",
            help="A click on a heading also sorts, for this visit. Saved views and links hold this choice",
        )  # fmt: skip
        st.toggle("Largest first", key=DESCENDING)
    return [column for column in st.session_state[CHOSEN_COLUMNS] if column in names] or start


def sorted_rows(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs in the chosen order; those without the value come last."""
    column, is_descending = str(st.session_state.get(SORT) or ""), bool(st.session_state.get(DESCENDING))
    if not column and not is_descending:
        return runs
    by = {"": "id", "made": "created_at"}.get(column, column)
    return remembered(
        "sorted",
        (runs, by, is_descending),
        lambda: runs.sort_values(by, ascending=not is_descending, kind="stable", na_position="last"),
    )


def saved_columns(store: Store, owner: str) -> list[str]:
    """The columns that the user has chosen for every experiment."""
    return list((get_preference(store.database, owner, PREFERENCE) or {}).get("columns") or [])


def runs_table(
    runs: pd.DataFrame,
    columns: Sequence[str],
    limits: Mapping[str, float],
    *,
    best: int | None = None,
    groups: RunGroups | None = None,
) -> pd.DataFrame:
    """Content of the table, in the units of its headings; run and recipe come first, then the groups. best: the run with a
    star.
    """
    base = runs["is_baseline"].astype(bool)
    names = pd.Series(_names(runs), index=runs.index, dtype=object)
    names = names.mask(runs["id"] == best, "★ " + names)
    table: dict[str, Any] = {"run": _addresses(run_url, runs["id"]), "recipe": names}
    if groups is not None:
        table["group"] = groups.names_of(runs)
    for column in columns:
        if column in MEASURES or target_metric(column) is not None:
            measure = measure_of(column)
            values = pd.to_numeric(runs[column], errors="coerce") * measure.factor
            table[column] = (
                values.mask(base) if column in ("smaller", "accuracy_change", "speedup") else values
            )
        elif column == "state":
            table[column] = _states(runs)
        elif column == "verdict":
            table[column] = verdict_labels(runs).mask(base)
        elif column == "limits":
            table[column] = limits_text(runs, limits)
        elif column == "tags":
            table[column] = runs["tags"].map(list)
        elif column == "note":
            table[column] = runs["note"]
        elif column == "made":
            table[column] = runs["created_at"].map(utc)
        elif column == "host":
            table[column] = runs["host_name"]
        elif column == "file":
            done = runs["state"] == "succeeded"
            table[column] = _addresses(download_url, runs["id"]).where(done, None)
    return pd.DataFrame(table, index=runs.index)


def verdict_labels(runs: pd.DataFrame) -> pd.Series:
    """For each run the verdict; one that is not significant as the largest possible loss."""
    labels = [
        verdict_label(
            verdict if isinstance(verdict, str) else None,
            details.get("interval") if isinstance(details, Mapping) else None,
            is_share=pd.notna(accuracy),
        )
        for verdict, details, accuracy in zip(
            runs["verdict"], runs["verdict_details"], runs["accuracy"], strict=True
        )
    ]
    return pd.Series(labels, index=runs.index, dtype=object)


def limits_text(runs: pd.DataFrame, limits: Mapping[str, float]) -> pd.Series:
    """For each measured run `meets all`, `exceeds size, latency`, `cannot run: NPU cycles`, or `not measured: arena`."""
    if not limits:
        return pd.Series(None, index=runs.index, dtype=object)
    table = limits_met(runs, limits)
    names = {key: limit_of(key, names_in(runs)).short for key in table}
    all_kept, done = meets_all_limits(runs, limits), runs["state"] == "succeeded"
    refused = pd.DataFrame({key: np.isinf(limited_values(runs, key)) for key in table}).to_dict("records")
    found = []
    for ok, is_done, row, cannot in zip(all_kept, done, table.to_dict("records"), refused, strict=True):
        broken = [names[key] for key, value in row.items() if value == 0.0 and not cannot[key]]
        unable = [names[key] for key in row if cannot[key]]
        missing = [names[key] for key, value in row.items() if value != value]
        found.append(
            None if not is_done
            else "✓ meets all" if ok
            else f"exceeds {', '.join(broken)}" if broken
            else f"cannot run: {', '.join(unable)}" if unable
            else f"not measured: {', '.join(missing)}"
        )  # fmt: skip
    return pd.Series(found, index=runs.index, dtype=object)


def column_config(
    runs: pd.DataFrame, columns: Sequence[str], groups: RunGroups | None = None
) -> dict[str, Any]:
    """Streamlit's column formats."""
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    config: dict[str, Any] = {
        "run": st.column_config.LinkColumn(
            "Run", display_text=r"run=(\d+)", width=64, pinned=True, help="Opens the run's page: stages, layers, log"
        ),
        "recipe": text("Recipe", width=230, pinned=True, help="Or the run's title, shortened; ★ is recommended above"),
        "state": text("State", width=130),
        "verdict": text("Verdict", width=230, help="Difference in quality to the baseline, if significant with these rows"),
        "limits": text("Limits", width=200, help="The experiment's limits that the run meets or exceeds"),
        "tags": st.column_config.ListColumn("Tags", width=130),
        "note": text("Note", width=180),
        "made": text("Started (UTC)", width=130),
        "host": text("Host", width=180, help="Times are comparable on one host only"),
        "file": st.column_config.LinkColumn(
            "File", display_text=":material/download:", width=48, pinned=True, help="Downloads the .tflite"
        ),
    }  # fmt: skip
    for column in columns:
        if column in MEASURES or target_metric(column) is not None:
            measure, heading = measure_of(column), _heading(measure_of(column), names_in(runs))
            sign = "%+" if column == "accuracy_change" else "%"
            unit = "×" if measure.unit == "×" else ""
            whole = measure.digits == 0
            config[column] = number(
                heading, help=measure.help or None, width=max(70, int(6.5 * len(heading)) + 18),
                format="localized" if whole else f"{sign}.{measure.digits}f{unit}",
            )  # fmt: skip
    if groups is not None:
        config["group"] = text(groups.label, width=150)
    return {key: value for key, value in config.items() if key in ("run", "recipe", "group", *columns)}


def _heading(measure: Measure, names: Mapping[str, str]) -> str:
    return SHORT.get(measure.column) or heading_of(measure.column, names) or measure.title


def _names(runs: pd.DataFrame) -> list[str]:
    """Title or shortened recipe, with marks."""
    short = {recipe: short_recipe(recipe) for recipe in runs["recipe"].unique()}
    marks = zip(runs["title"], runs["recipe"], runs["is_baseline"], strict=True)
    return [
        (title if isinstance(title, str) and title else short[recipe]) + ("  (baseline)" if is_base else "")
        for title, recipe, is_base in marks
    ]


def _addresses(of: Callable[[int], str], ids: pd.Series) -> pd.Series:
    """`of` for each id; it is called once, since ten thousand calls take a while."""
    mark = 987_654_321_000
    before, after = of(mark).split(str(mark))
    return before + ids.astype(str) + after


def _states(runs: pd.DataFrame) -> list[str]:
    def written(state: str, progress: float, doing: str | None, error: str | None) -> str:
        if state == "stopped" and error:
            return error
        return (
            f"{state} {100 * progress:.0f} %" + (f", {doing}" if doing else "")
            if state == "running"
            else state
        )

    columns = (runs[name] for name in ("state", "progress", "doing", "error"))
    return [written(*row) for row in zip(*columns, strict=True)]
