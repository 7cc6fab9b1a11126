"""The stages of a run, the layers that they skipped, and the log."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.training_curve import describe_training_curve, plot_training_curve
from lwdash.settings import Settings
from lwdash.ui.run.log_lines import without_library_lines
from lwdash.ui.shared.addresses import log_url
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import NOTHING, counted, percent, seconds
from storage.logs import find_log
from storage.store import Store

LOG_BYTES = 200_000
OWN_VIEWS = ("audit", "auto", "by_layer", "training_curve", "kept_epoch", "held_out_rows")
"""Facts that have a table or a figure of their own, or that the fact `fine_tuning` states in words."""
FACTS_WITH_UNITS: Mapping[str, Callable[[float], str]] = {
    "sqnr_db": lambda value: f"{value:.1f} dB",
    "sparsity": percent,
}


def show_stages(compressed: Mapping[str, Any]) -> None:
    """Every stage with its seconds, its cache state, and the skipped layers."""
    stages = compressed.get("stages", [])
    st.header("Stages", anchor=False)
    cached = sum(bool(s["cached"]) for s in stages)
    st.caption(
        f"{counted(len(stages), 'stage')}, {cached} from the cache, "
        f"{seconds(sum(s['seconds'] for s in stages))} of work. Stages that another run has already "
        "computed from the same model, data and parameters are reused."
    )
    table = pd.DataFrame(
        [
            {
                "Stage": f"**{plain(s['name'])}**" + ("  \n:small[from the cache]" if s["cached"] else ""),
                "Time": NOTHING if s["cached"] else seconds(s["seconds"]),
                "Memory": NOTHING if s.get("peak_memory_mb") is None else f"{s['peak_memory_mb']:,.0f} MB",
                "Result": "  \n".join(map(plain, fact_lines(s.get("facts") or {}))),
            }
            for s in stages
        ]
    )
    if stages:
        # A table of the page, not of the grid: results are one or two sentences, which the grid would cut.
        st.table(
            table,
            border="horizontal",
            hide_index=True,
            alt=f"{counted(len(stages), 'stage')} with time and memory",
        )
        st.caption("Memory is the maximum that the process had used until then.")
    _training_curves(stages)
    _audit(stages)
    skipped = compressed.get("skipped", [])
    if skipped:
        with st.expander(f"Skipped: {len(skipped)} of the layers or operators", icon=":material/rule:"):
            data_table(
                pd.DataFrame(skipped),
                hide_index=True,
                alt="Skipped layers, with the reason",
                column_config={"layer": "Layer", "reason": st.column_config.TextColumn("Reason", width=800)},
            )


def _training_curves(stages: Any) -> None:
    """The loss of each stage that trained, epoch by epoch."""
    found = [
        (s["name"], s["facts"]["training_curve"])
        for s in stages
        if (s.get("facts") or {}).get("training_curve")
    ]
    for number, (name, curve) in enumerate(found):
        show_figure(
            plot_training_curve(name, curve),
            alt=describe_training_curve(name, curve),
            key=f"run:training-curve-{number}",
            file_name=f"training-curve-{number + 1}",
        )


def fact_lines(facts: Mapping[str, Any]) -> list[str]:
    """Results of a stage, without those that have their own tables."""
    return [f"{_called(key)}: {_fact(value, key)}" for key, value in facts.items() if key not in OWN_VIEWS]


def _called(key: str) -> str:
    """`sqnr_db` is displayed as SQNR; its unit is shown with the number."""
    name = key.removesuffix("_db").replace("_", " ")
    return {"sqnr": "SQNR", "keras 2 twin": "Keras 2 twin", "gpu": "GPU"}.get(name, name)


def _audit(stages: Any) -> None:
    found = [f for s in stages for f in (s.get("facts") or {}).get("audit", ())]
    if not found:
        return
    table = pd.DataFrame(found)
    table["zeros_kept"] = pd.to_numeric(table["zeros_kept"]) * 100
    with st.expander(
        f"Audit of zeros and shared values: {counted(len(found), 'kernel')}", icon=":material/fact_check:"
    ):
        data_table(
            table.dropna(axis="columns", how="all"),
            hide_index=True,
            placeholder=NOTHING,
            alt="Zeros and shared values preserved in the file, kernel by kernel",
            column_config={
                "kernel": "Kernel",
                "is_found": st.column_config.CheckboxColumn(
                    "Recognized", help="The kernel was found in the file"
                ),
                "zeros": st.column_config.NumberColumn("Zeros before", format="localized"),
                "zeros_kept": st.column_config.NumberColumn("Zeros kept (%)", format="%.1f"),
                "distinct": st.column_config.NumberColumn("Distinct real before", format="localized"),
                "distinct_stored": st.column_config.NumberColumn(
                    "Distinct real in the file", format="localized", help="Stored integers times their scale"
                ),
                "distinct_in_channel": st.column_config.NumberColumn(
                    "in a channel",
                    format="localized",
                    help="Distinct values in the output channel with most of them: per-channel scales "
                    "give equal weights different integers",
                ),
            },
        )


def _fact(value: Any, key: str) -> str:
    """A fact of a stage as text, nested facts too.

    key: its name, which determines its unit; inside a table of layers it is the table's.
    """
    if isinstance(value, Mapping):
        # The path of a layer keeps its upper and lower case.
        named = {(k if "/" in k else _called(k)): (k, v) for k, v in value.items()}
        return "; ".join(
            f"{name} {_fact(v, k if k in FACTS_WITH_UNITS else key)}" for name, (k, v) in named.items()
        )
    if isinstance(value, (list, tuple)):
        return "; ".join(_fact(v, key) for v in value)
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return FACTS_WITH_UNITS[key](value) if key in FACTS_WITH_UNITS else f"{value:.4g}"
    return str(value)


def show_log(settings: Settings, store: Store, run_id: int) -> None:
    """The end of the run's log with a download of the whole log, or the reason why there is none."""
    st.header("Log", anchor=False)
    path = find_log(store.artifacts, settings.logs, run_id)
    if not path.is_file():
        st.caption("There is no log of this run here: it has not started, or its log was lost with its host.")
        return
    whole = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, whole - LOG_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    if not text.strip():
        st.caption("The log is empty: the libraries wrote nothing.")
        return
    st.link_button("Download the log", log_url(run_id), icon=":material/download:")
    if whole > LOG_BYTES:
        st.caption(f"The last {LOG_BYTES // 1000:,} kB of {whole // 1000:,} kB.")
    own, left_out = without_library_lines(text)
    label = f"Show {counted(left_out, 'line')} of TensorFlow and LiteRT about the host"
    if left_out and not st.toggle(label, key="run:library-lines"):
        text = own
    if not text.strip():
        st.caption("The log has no line about this run.")
        return
    st.code(text, language=None, height=420 if text.count("\n") > 16 else "content")
