"""One run in full: what it cost in a sentence, its stages, its layers, its log."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.layer_bars import QUANTITIES, layer_values, plot_layer_bars
from lwdash.ui.cards import plain
from lwdash.ui.formats import is_missing, milliseconds, percent, points, seconds, size, times

LOG_BYTES = 200_000


def summary(run: Mapping[str, Any]) -> str:
    """`3.9× smaller, 1.1× faster, accuracy −0.4 points: equivalent …`, from what was measured."""
    parts = []
    if run.get("baseline_size_bytes") and run.get("size_bytes"):
        parts.append(_ratio(run["baseline_size_bytes"] / run["size_bytes"], "smaller", "larger"))
    if not is_missing(run.get("speedup")):
        parts.append(_ratio(run["speedup"], "faster", "slower"))
    if not is_missing(run.get("accuracy")) and not is_missing(run.get("baseline_accuracy")):
        parts.append(f"accuracy {points(run['accuracy'] - run['baseline_accuracy'])}")
    elif not is_missing(run.get("agreement")):
        parts.append(f"agrees with the original on {percent(run['agreement'])} of the rows")
    return ", ".join(parts)


def _ratio(value: float, more: str, less: str) -> str:
    return f"{value:.2f}× {more}" if value >= 1 else f"{1 / value:.2f}× {less}"


def show_figures(run: Mapping[str, Any]) -> None:
    """The headline figures, each with what it was measured on."""
    host = run.get("host") or {}
    where = f"{host.get('cpu')}, {host.get('cores')} cores, {host.get('threads')} thread(s), LiteRT {host.get('litert')}"
    cells = st.columns(5)
    cells[0].metric("Size", size(run["size_bytes"]), help=f"{run['size_bytes']:,} bytes")
    cells[1].metric("Gzip", size(run["gzip_bytes"]), help=f"{run['gzip_bytes']:,} bytes")
    if not is_missing(run.get("accuracy")):
        low, high = run.get("accuracy_ci") or (None, None)
        cells[2].metric("Accuracy", percent(run["accuracy"], 2), help=f"{run.get('rows')} evaluation rows")
        cells[2].caption(f"95 % interval {percent(low)} to {percent(high)}")
    else:
        cells[2].metric(
            "Agreement", percent(run.get("agreement"), 2), help=f"{run.get('rows')} evaluation rows"
        )
    cells[3].metric("Latency p50", milliseconds(run["latency_ms_p50"]), help=where)
    cells[3].caption(
        f"p90 {milliseconds(run.get('latency_ms_p90'))}, p99 {milliseconds(run.get('latency_ms_p99'))}"
    )
    cells[4].metric("Speed-up", times(run["speedup"]), help="Against the baseline, interleaved with it")
    low, high = run.get("speedup_ci") or (None, None)
    cells[4].caption(f"95 % interval {times(low)} to {times(high)}")
    st.caption(f"Measured on {run.get('rows')} evaluation rows; {plain(where)}")
    if run.get("verdict_text"):
        st.info(plain(run["verdict_text"]), icon=":material/balance:")
    for reason in run.get("why_not_faster") or ():
        st.caption(f":material/speed: {plain(reason)}")


def show_stages(compressed: Mapping[str, Any]) -> None:
    """Every stage with its seconds, whether it came from the cache, and what was skipped."""
    st.subheader("Stages")
    table = pd.DataFrame(
        [
            {
                "stage": s["name"],
                "seconds": s["seconds"],
                "cached": s["cached"],
                "memory": s["peak_memory_mb"],
                "facts": ", ".join(f"{k.replace('_', ' ')}: {_fact(v)}" for k, v in s["facts"].items()),
            }
            for s in compressed.get("stages", [])
        ]
    )
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "stage": "Stage",
            "seconds": st.column_config.NumberColumn("Time (s)", format="%.2f"),
            "cached": st.column_config.CheckboxColumn("From the cache"),
            "memory": st.column_config.NumberColumn(
                "Peak memory (MB)", format="localized", help="Of the process, until then"
            ),
            "facts": st.column_config.TextColumn("What was reached", width="large"),
        },
    )
    skipped = compressed.get("skipped", [])
    if skipped:
        with st.expander(f"{len(skipped)} layers or operators were left as they are"):
            st.dataframe(
                pd.DataFrame(skipped), hide_index=True, column_config={"layer": "Layer", "reason": "Reason"}
            )


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{k} {_fact(v)}" for k, v in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_layers(name: str, layers: Sequence[Mapping[str, Any]]) -> None:
    """Bars and the table of the file's operators."""
    st.subheader("Layers")
    quantity = st.segmented_control(
        "Quantity", list(QUANTITIES), default="weight_bytes", required=True,
        format_func=lambda q: QUANTITIES[q][0], key="run:quantity", label_visibility="collapsed",
    ) or "weight_bytes"  # fmt: skip
    values = layer_values({name: layers}, quantity)
    st.plotly_chart(
        plot_layer_bars(values, quantity), alt=f"{QUANTITIES[quantity][0]} of {len(values)} layers."
    )
    columns = ["index", "type", "layer", "parameters", "macs", "bytes", "weight_bytes", "quantization_bytes",
               "bits_per_weight", "sparsity", "distinct_values", "entropy_bits", "huffman_bytes", "weight_dtype",
               "output_dtype"]  # fmt: skip
    table = pd.DataFrame(layers)
    table = table[[c for c in columns if c in table]]
    if "sparsity" in table:
        table["sparsity"] = pd.to_numeric(table["sparsity"]) * 100
    whole = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "index": whole("#", width="small"),
            "type": "Operator",
            "layer": "Keras layer",
            "parameters": whole("Parameters", format="localized"),
            "macs": whole("MACs", format="localized"),
            "bytes": whole(
                "Bytes", format="localized", help="Everything in the file that belongs to this operator"
            ),
            "weight_bytes": whole("Weights (B)", format="localized"),
            "quantization_bytes": whole("Scales (B)", format="localized"),
            "bits_per_weight": whole("Bits a weight", format="%.1f"),
            "sparsity": whole("Sparsity (%)", format="%.1f"),
            "distinct_values": whole("Distinct values", format="localized"),
            "entropy_bits": whole("Entropy (bit)", format="%.2f"),
            "huffman_bytes": whole("Huffman (B)", format="localized"),
            "weight_dtype": "Weights",
            "output_dtype": "Output",
        },
    )


def show_log(path: Path) -> None:
    """The end of the run's log, or where to look when this host does not have it."""
    with st.expander("Log", icon=":material/terminal:"):
        if not path.is_file():
            st.caption("This host has no log of the run: it has not started, or it ran on another host.")
            return
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            text = file.read().decode("utf-8", errors="replace")
        st.code(text or "(empty)", language=None, height=400)


def show_state(run: Mapping[str, Any]) -> None:
    """Why a run ended that did not succeed."""
    if run["state"] == "failed":
        st.error(plain(run["error"] or "it failed without a message"), icon=":material/error:")
    elif run["state"] == "cancelled":
        st.warning("This run was cancelled.", icon=":material/cancel:")


def duration(run: Mapping[str, Any]) -> str:
    """From the first claim to the end."""
    if is_missing(run["started_at"]) or is_missing(run["finished_at"]):
        return ""
    return seconds(run["finished_at"] - run["started_at"])
