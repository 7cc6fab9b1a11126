"""Runs as records of the command line: one flat record each, null where nothing was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine

from lwdash.advice.evidence import Evidence
from lwdash.advice.run_findings import findings
from lwdash.errors import NotFound
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.metrics.hosts import training_device
from lwdash.targets.boards import load_boards
from lwdash.targets.result_columns import COLUMNS, npu_of, run_columns
from storage import run_rows
from storage.experiments import experiment_names, find_experiments
from storage.frames import newest_runs
from storage.target_results import chosen_targets

METRICS = (
    "size_bytes", "stored_bytes", "gzip_bytes", "huffman_bytes", "accuracy", "accuracy_ci", "baseline_accuracy", "macro_f1",
    "baseline_macro_f1", "mae", "baseline_mae",
    "rmse", "baseline_rmse", "r2", "baseline_r2", "reconstruction_error", "baseline_reconstruction_error", "agreement",
    "sqnr_db", "kl_nats", "verdict", "latency_ms_p50", "latency_ms_p90", "latency_ms_p99", "speedup", "speedup_ci",
    "sparsity", "nrmse", "baseline_nrmse", "worst_r2", "baseline_worst_r2", "worst_target", "variation_sqnr_db",
    "agreement_rows", "answers_per_row", "arena_bytes", "arena_reason", "output_findings",
    "generated_rows", "agreement_generated", "sqnr_generated_db",
    "positions", "mean_iou", "baseline_mean_iou", "iou", "baseline_iou", "is_baseline_below_chance",
)  # fmt: skip
MAX_LISTED = 1000


def run_record(engine: Engine, run_id: int, *, with_layers: bool = False) -> dict[str, Any]:
    """One run as in design §7. Raises NotFound."""
    row = run_rows.get_run(engine, run_id)
    if row is None:
        raise NotFound(f"there is no run {run_id}")
    detail = run_rows.get_detail(engine, run_id)
    compressed, figures = detail.compressed, dict(row.metrics)
    of_targets: dict[str, float | None] = {}
    if targets := detail.measured.get("targets"):
        npu = npu_of(chosen_targets(engine, row.experiment_id))
        late = run_columns({run_id: targets}, load_boards().assumptions, npu)
        figures |= late.values[run_id]
        of_targets = {column: figures[column] for column in late.columns}
    stages = [
        {"name": s["name"], "seconds": s["seconds"], "cached": s["cached"], "facts": s["facts"]}
        for s in compressed.get("stages", [])
    ]
    record = {
        "id": row.id,
        "recipe": row.recipe,
        "state": row.state,
        "error": row.error,
        "artifact": row.tflite_sha256 if row.has_succeeded else None,
        **{key: figures.get(key) for key in (*METRICS, *COLUMNS)},
        "target_metrics": of_targets,
        "skipped": compressed.get("skipped", []),
        "findings": _findings(row.recipe, figures, compressed, detail.measured),
        "stages": stages,
        "seconds": row.seconds,
        "rows": figures.get("rows"),
        "verdict_text": figures.get("verdict_text"),
        "host": figures.get("host"),
        "xnnpack": figures.get("xnnpack"),
        "trained_on": training_device(stages),
    }
    if with_layers:
        layers = detail.measured.get("layers", [])
        record["layers"] = layers
        record["layer_bytes"] = sum(layer["bytes"] for layer in layers) if layers else None
        record["overhead_bytes"] = figures.get("overhead_bytes")
        record["bytes_by_kind"] = detail.measured.get("ledger")
    return record


def _findings(
    recipe: str, figures: Mapping[str, Any], compressed: Mapping[str, Any], measured: Mapping[str, Any]
) -> list[dict[str, str]]:
    """Findings on a run, as on its page; empty for a run that has not been measured."""
    if not figures:
        return []
    return [
        {"kind": f.kind, "text": f.text} for f in findings(Evidence(recipe, figures, compressed, measured))
    ]


def run_records(engine: Engine, experiment: str | None) -> list[dict[str, Any]]:
    """The newest runs, at most MAX_LISTED, of one experiment by name or of all. Raises NotFound for an unknown name."""
    ids = None if experiment is None else find_experiments(engine, experiment)
    if ids == []:
        known = ", ".join(experiment_names(engine, 20)) or "none"
        raise NotFound(f"there is no experiment {experiment!r} (there are: {known})")
    return [run_record(engine, run_id) for run_id in reversed(newest_runs(engine, ids, MAX_LISTED))]


def table_lines(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table for a terminal, with the bytes as stored if a run has a form for storage of its own (`coded`)."""
    with_stored = any(r["stored_bytes"] not in (None, r["size_bytes"]) for r in records)
    names = ("run", "recipe", "state", "bytes", *(["stored"] if with_stored else []))
    head = (*names, "gzip", "accuracy", "speed-up", "verdict")
    rows = [head, *(_cells(r, with_stored) for r in records)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    problems = [
        f"run {r['id']}: {found['text']}"
        for r in records
        for found in r.get("findings", ())
        if found["kind"] == "problem"
    ]
    return [*lines, *(f"run {r['id']}: {r['error']}" for r in records if r["error"]), *problems]


def show_lines(record: Mapping[str, Any]) -> list[str]:
    """One run for a terminal."""
    lines = [
        f"{key}: {_value(value)}"
        for key, value in record.items()
        if key not in ("layers", "stages", "skipped", "xnnpack", "findings")
    ]
    if record.get("xnnpack"):
        lines.append(f"fast kernels: {xnnpack_text(record['xnnpack'])}")
    lines += [
        f"stage {s['name']}: {s['seconds']:.2f} s{' (cached)' if s['cached'] else ''}"
        for s in record["stages"]
    ]
    lines += [f"{' '.join(['skipped', s['layer']]).strip()}: {s['reason']}" for s in record["skipped"]]
    lines += [f"{found['kind']}: {found['text']}" for found in record.get("findings", ())]
    for layer in record.get("layers", []):
        lines.append(", ".join(f"{k} {_value(v)}" for k, v in layer.items() if v is not None))
    return lines


def xnnpack_text(found: Mapping[str, Any]) -> str:
    """`XNNPACK runs 12 operators in 2 parts; outside of it: CONV_2D ×2 (conv_1, conv_2)`."""
    parts = f"{found['partitions']} part{'s' * (found['partitions'] != 1)}"
    outside = [
        one["type"]
        + (f" ×{one['count']}" if one["count"] > 1 else "")
        + (f" ({', '.join(one['layers'])})" if one["layers"] else "")
        for one in found["outside_operators"]
    ]
    return (
        f"XNNPACK runs {found['inside']} operators in {parts}; outside of it: {', '.join(outside) or 'none'}"
    )


def model_lines(facts: ModelFacts) -> list[str]:
    """A model's facts for a terminal."""
    ports = [f"{t.name} {_shape(t.shape)} {t.dtype}" for t in (*facts.inputs, *facts.outputs)]
    split = len(facts.inputs)
    lines = [
        f"{facts.name}: {facts.class_name}, {facts.format}, {facts.written_by}",
        f"inputs: {'; '.join(ports[:split])}",
        f"outputs: {'; '.join(ports[split:])}",
        f"parameters: {facts.parameters:,}, likely task: {facts.task or 'unknown'}",
    ]
    if facts.code is not None:
        network = f"with network: {facts.code.network}" if facts.code.network else "run without network"
        lines.append(f"code: {facts.code.name}, SHA-256 {facts.code.sha256[:12]}…, {network}")
    width = max((len(layer.path) for layer in facts.layers), default=0)
    for layer in facts.layers:
        lines.append(
            f"  {layer.path.ljust(width)}  {layer.class_name}  {_shape(layer.output_shape)}  {layer.parameters:,}"
        )
    return lines


def _shape(shape: Sequence[int | None] | None) -> str:
    return "?" if shape is None else "(" + ", ".join("?" if n is None else str(n) for n in shape) + ")"


def _cells(record: Mapping[str, Any], with_stored: bool) -> tuple[str, ...]:
    return (
        str(record["id"]),
        record["recipe"],
        record["state"],
        _number(record["size_bytes"], "{:,}"),
        *([_number(record["stored_bytes"], "{:,}")] if with_stored else []),
        _number(record["gzip_bytes"], "{:,}"),
        _quality(record),
        _number(record["speedup"], "{:.2f}×"),
        "not significant" if record["verdict"] == "cannot tell" else record["verdict"] or "–",
    )


def _quality(record: Mapping[str, Any]) -> str:
    """The main metric of its task."""
    forms = {
        "accuracy": "{:.2%}",
        "reconstruction_error": "MSE {:.4g}",
        "nrmse": "worst target {:.4g} σ",
        "mae": "MAE {:.4g}",
        "agreement": "agrees {:.2%}",
        "variation_sqnr_db": "{:.1f} dB",
        "agreement_generated": "agrees {:.2%} on generated rows",
        "sqnr_generated_db": "{:.1f} dB on generated rows",
    }
    return next((form.format(record[key]) for key, form in forms.items() if record[key] is not None), "–")


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
