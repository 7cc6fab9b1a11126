"""One run in full: what it cost in a sentence, its stages, its layers, its log."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.charts.layer_bars import QUANTITIES, layer_values, plot_layer_bars
from lwdash.ui.cards import plain
from lwdash.ui.formats import NOTHING, count, is_missing, milliseconds, percent, points, seconds, size, times

LOG_BYTES = 200_000
FIGURE_WIDTH = 170
VERDICTS = {
    "better": ": a real gain on {rows} rows",
    "worse": ": a real loss on {rows} rows",
    "equivalent": ": equivalent on {rows} rows",
    "cannot tell": ": {rows} rows cannot tell whether that is real",
}


def summary(run: Mapping[str, Any]) -> str:
    """`3.9× smaller, 1.1× faster, accuracy −0.4 points: equivalent on 500 rows`, from what was measured."""
    if run.get("is_baseline"):
        quality = "" if is_missing(run.get("accuracy")) else f", accuracy {percent(run['accuracy'])}"
        return f"the baseline: {size(run['size_bytes'])}{quality}, {milliseconds(run['latency_ms_p50'])}"
    parts = []
    if run.get("baseline_size_bytes") and run.get("size_bytes"):
        parts.append(_ratio(run["baseline_size_bytes"] / run["size_bytes"], "smaller", "larger"))
    if not is_missing(run.get("speedup")):
        parts.append(_ratio(run["speedup"], "faster", "slower"))
    if not is_missing(run.get("accuracy")) and not is_missing(run.get("baseline_accuracy")):
        parts.append(f"accuracy {points(run['accuracy'] - run['baseline_accuracy'])}")
    elif not is_missing(run.get("agreement")):
        parts.append(f"agrees with the original on {percent(run['agreement'])} of the rows")
    verdict = VERDICTS.get(run.get("verdict") or "", "") if parts else ""
    return ", ".join(parts) + verdict.format(rows=count(run.get("rows")))


def _ratio(value: float, more: str, less: str) -> str:
    return f"{value:.2f}× {more}" if value >= 1 else f"{1 / value:.2f}× {less}"


def show_figures(run: Mapping[str, Any]) -> None:
    """The headline figures, each with what it was measured on."""
    host = run.get("host") or {}
    threads = "1 thread" if host.get("threads") == 1 else f"{host.get('threads')} threads"
    where = f"{host.get('cpu')}, {host.get('cores')} cores, {threads}, LiteRT {host.get('litert')}"
    rows = f"{count(run.get('rows'))} evaluation rows"
    with st.container(horizontal=True):
        _figure("Size", size(run["size_bytes"]), f"{run['size_bytes']:,} bytes")
        _figure("Gzip", size(run["gzip_bytes"]), "compressed", help="Where pruning and clustering show")
        if not is_missing(run.get("accuracy")):
            _figure(
                "Accuracy", percent(run["accuracy"], 2), _interval(run.get("accuracy_ci"), percent), help=rows
            )
        elif not is_missing(run.get("agreement")):
            _figure("Agreement", percent(run["agreement"], 2), "with the original", help=rows)
        elif not is_missing(run.get("sqnr_db")):
            _figure("SQNR", f"{run['sqnr_db']:.1f} dB", "against the original", help=rows)
        tail = f"p90 {milliseconds(run.get('latency_ms_p90'))}, p99 {milliseconds(run.get('latency_ms_p99'))}"
        _figure("Latency p50", milliseconds(run["latency_ms_p50"]), tail, help=where)
        _figure(
            "Speed-up",
            times(run["speedup"]),
            _interval(run.get("speedup_ci"), times),
            help="Against the baseline, measured interleaved with it",
        )
        _figure("Zeros", percent(run.get("sparsity")), "of the weights", help="Sparsity, in the .tflite")
    st.caption(f"Measured on {rows}; {plain(where)}. Small figures in a box are 95 % intervals.")
    if run.get("verdict_text") and not run.get("is_baseline"):
        st.info(plain(run["verdict_text"]), icon=":material/balance:")
    for reason in run.get("why_not_faster") or ():
        st.caption(f":material/speed: {plain(reason)}")


def _figure(label: str, value: str, below: str, help: str | None = None) -> None:
    with st.container(border=True, width=FIGURE_WIDTH, height="stretch", gap=None):
        st.metric(label, value, help=help)
        st.caption(below)


def _interval(bounds: Sequence[float] | None, write: Callable[[float], str]) -> str:
    return f"{write(bounds[0])} to {write(bounds[1])}" if bounds else "no interval"


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
            "stage": st.column_config.TextColumn("Stage", width=190),
            "seconds": st.column_config.NumberColumn("Time (s)", format="%.2f", width=75),
            "cached": st.column_config.CheckboxColumn(
                "Cached", width=70, help="Another run had done the same work"
            ),
            "memory": st.column_config.NumberColumn(
                "Memory (MB)", format="localized", width=100, help="Most that the process had used until then"
            ),
            "facts": st.column_config.TextColumn("What was reached", width=660),
        },
    )
    skipped = compressed.get("skipped", [])
    if skipped:
        with st.expander(f"Left as they are: {len(skipped)} layers or operators"):
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
    label, _, meaning = QUANTITIES[quantity]
    st.caption(meaning)
    st.plotly_chart(plot_layer_bars(values, quantity), alt=f"{label} of {len(values)} layers.")
    columns = ["type", "layer", "parameters", "macs", "bytes", "weight_bytes", "quantization_bytes", "bits_per_weight",
               "sparsity", "distinct_values", "entropy_bits", "huffman_bytes", "weight_dtype", "output_dtype"]  # fmt: skip
    table = pd.DataFrame(layers)
    table = table[[c for c in columns if c in table]]
    if "sparsity" in table:
        table["sparsity"] = pd.to_numeric(table["sparsity"]) * 100
    text, whole = st.column_config.TextColumn, st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        placeholder=NOTHING,
        column_config={
            "type": text("Operator", width=130),
            "layer": text("Keras layer", width=110, help="The layer that this operator of the file came from"),
            "parameters": whole("Params", format="localized", width=75, help="Weights and biases"),
            "macs": whole("MACs", format="localized", width=75, help="Multiplications with addition, one sample"),
            "bytes": whole("Bytes", format="localized", width=70, help="All in the file that belongs to the operator"),
            "weight_bytes": whole("Weights (B)", format="localized", width=82),
            "quantization_bytes": whole("Scales (B)", format="localized", width=75, help="Scales and zero points"),
            "bits_per_weight": whole("Bits", format="%.1f", width=50, help="Bits a weight, biases counted in"),
            "sparsity": whole("Zeros (%)", format="%.1f", width=72, help="Sparsity: weights that are zero"),
            "distinct_values": whole("Distinct", format="localized", width=70, help="Different weights there are"),
            "entropy_bits": whole("Entropy (bit)", format="%.2f", width=90, help="Bits a weight would need at least"),
            "huffman_bytes": whole("Huffman (B)", format="localized", width=92, help="The weights Huffman-coded"),
            "weight_dtype": text("Type", width=62, help="Of the weights"),
            "output_dtype": text("Output", width=65, help="Type of the output"),
        },
    )  # fmt: skip


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
