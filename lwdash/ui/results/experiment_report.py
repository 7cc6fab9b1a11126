"""The report of an experiment or of some of its runs: setting, trade-offs, tables, recipes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from lwdash.charts.layer_bars import layer_values, most_different, plot_layer_bars
from lwdash.charts.parallel_coordinates import complete_runs, describe_parallel, plot_parallel, thinned_lines
from lwdash.charts.tradeoff.tradeoff_axes import TradeoffAxes
from lwdash.charts.tradeoff.tradeoff_figure import plot_tradeoff
from lwdash.charts.tradeoff.tradeoff_points import describe_tradeoff, tradeoff_points
from lwdash.metrics.layer_metrics import QUANTITIES, measured_quantities
from lwdash.metrics.recommendation import recommend
from lwdash.metrics.run_metrics import INTERVALS, MEASURES, quality_of
from lwdash.metrics.target_values import available_with_targets, measure_of, names_in
from lwdash.metrics.technique_families import short_recipe
from lwdash.report.html_page import Drawing, Paragraph, Section, Table, to_html
from lwdash.ui.results.plain_records import records_of
from lwdash.ui.results.table_columns import limits_text, verdict_labels
from lwdash.ui.shared.generated_notice import NOTICE
from lwdash.ui.shared.number_text import NOTHING, counted, is_missing, ratio_text, utc
from storage import run_rows
from storage.records import StoredExperiment
from storage.store import Store

MAX_RUNS_WITH_LAYERS = 6
LAYER_METRICS = (
    "bytes", "bits_per_weight", "sparsity", "output_sqnr_db", "output_sqnr_generated_db", "time_share",
)  # fmt: skip


def report_of(
    store: Store,
    experiment: StoredExperiment,
    runs: pd.DataFrame,
    axes: TradeoffAxes,
    *,
    has_figures: bool = True,
) -> str:
    """One HTML file about `runs` of an experiment; axes: of the first figure, as chosen on the page. See `to_html`."""
    limits = experiment.limits
    done = runs[runs["state"] == "succeeded"].reset_index(drop=True)
    sections = [
        *(
            [Section("Generated rows", [Paragraph(f"{NOTICE} {experiment.generated}.")])]
            if experiment.generated
            else []
        ),
        Section("Result", _result(done, limits)),
        Section("Trade-offs", _metrics(done, axes, limits)),
        Section("Runs", _runs(done, limits)),
        *_layers(store, done),
        Section("Recipes", [_recipes(done)]),
        *_others(runs),
        Section("Setting", _facts(experiment, done)),
    ]
    created = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return to_html(
        experiment.name,
        f"{len(done):,} measured runs of {experiment.model_name} on {experiment.data_name}, as of {created}",
        sections,
        "Created by lwdash. Sizes in kB are 1,000 bytes. Accuracy, where measured, has Wilson's 95 % interval with "
        "continuity correction; speed-ups are measured in rotation with the baseline on the same host, "
        "in several processes, and have Student's 95 % interval.",
        has_figures=has_figures,
    )


def _result(done: pd.DataFrame, limits: Mapping[str, float]) -> list[Paragraph]:
    """The recommended run with its metrics, and the reason."""
    found = recommend(done, limits)
    if found is None:
        return [Paragraph("No run besides the baseline is among these runs.")]
    if found.run is None:
        return [Paragraph(f"{found.headline}."), Paragraph(found.reason)]
    run = done[done["id"] == found.run].iloc[0].to_dict()
    quality = quality_of(done)
    values = [MEASURES["size_bytes"].write(run["size_bytes"])]
    if not is_missing(run["smaller"]):
        values.append(ratio_text(run["smaller"], "smaller", "larger"))
    values.append(f"{quality.label.lower()} {quality.write(run[quality.column])}")
    if not is_missing(run["speedup"]):
        values.append(ratio_text(run["speedup"], "faster", "slower"))
    verdict = run["verdict_text"] if isinstance(run["verdict_text"], str) else ""
    return [
        Paragraph(f"{found.headline}: {run['name']} (run {found.run}): {', '.join(values)}."),
        Paragraph(" ".join(text for text in (found.reason, verdict) if text)),
    ]


def _facts(experiment: StoredExperiment, done: pd.DataFrame) -> list[Paragraph | Table]:
    parts: list[Paragraph | Table] = []
    rows = sorted({int(n) for n in done["rows"].dropna()})
    measured_on = " or ".join(f"{n:,}" for n in rows) + " evaluation rows" if rows else NOTHING
    if experiment.generated is not None:
        measured_on = "no accuracy measured: the rows are generated from the model"
    hosts = sorted(set(done["host_name"].dropna()))
    table = {
        "Model": f"{experiment.model_name} (SHA-256 {experiment.model_sha256})",
        **({"Code": f"{code.name} (SHA-256 {code.sha256})"} if (code := experiment.code) else {}),
        "Data": f"{experiment.data_name} (SHA-256 {experiment.data_sha256})",
        "Task": experiment.task,
        "Quality measured on": measured_on,
        "Times measured on": "; ".join(hosts) or NOTHING,
        "Seed": str(experiment.seed),
    }
    cells = pd.DataFrame({"What": list(table), "Value": list(table.values())})
    parts.append(Table(cells, frozenset(cells), "experiment", records=[table]))
    if experiment.note:
        parts.append(Paragraph(experiment.note))
    return parts


def _metrics(
    done: pd.DataFrame, axes: TradeoffAxes, limits: Mapping[str, float]
) -> list[Paragraph | Drawing]:
    """The chosen axes first, then quality against size, latency and speed-up if they differ from them."""
    known = {measure.column for measure in available_with_targets(done)}
    quality = quality_of(done)
    wanted = [axes]
    for column in ("size_bytes", "gzip_bytes", "latency_ms_p50", "speedup"):
        if column in known and quality.column in known:
            wanted.append(TradeoffAxes(MEASURES[column], quality))
    parts: list[Paragraph | Drawing] = []
    drawn: set[tuple[str, str]] = set()
    for one in wanted:
        if (one.x.column, one.y.column) in drawn:
            continue
        drawn.add((one.x.column, one.y.column))
        for host, runs in _by_host(done, one):
            points = tradeoff_points(runs, one, limits)
            if points.empty:
                continue
            rows = runs["rows"].max()
            figure = plot_tradeoff(
                points, one, runs=runs, limits=limits, rows=int(rows) if rows == rows else None
            )
            if host:
                parts.append(Paragraph(f"Measured on {host}:", is_small=True))
            parts.append(
                Drawing(figure, describe_tradeoff(points, one), f"{one.y.column}-against-{one.x.column}")
            )
    # A line cannot skip an axis: further metrics are those that all of these runs have.
    further = [c for c in LINES if c in done and done[c].notna().all()]
    drawn_columns = [c for c in dict.fromkeys((axes.x.column, axes.y.column, *further)) if c in known]
    measures = [measure_of(c, names_in(done)) for c in drawn_columns[:7]]
    whole = complete_runs(done, measures)
    if len(whole) > 1 and done["host_name"].nunique() < 2:
        drawn = thinned_lines(whole, axes.x, axes.y)
        if len(drawn) < len(whole):
            parts.append(
                Paragraph(
                    "Drawn: the Pareto front, the baseline and an even sample of the other runs.",
                    is_small=True,
                )
            )
        alt = describe_parallel(drawn, measures, whole)
        parts.append(
            Drawing(plot_parallel(drawn, measures, axes.groups or axes.colour, of=whole), alt, "parallel")
        )
    return parts


LINES = ("size_bytes", "gzip_bytes", "latency_ms_p50", "speedup", "arena_bytes", "sparsity")


def _by_host(done: pd.DataFrame, axes: TradeoffAxes) -> list[tuple[str, pd.DataFrame]]:
    """Figures with times are drawn host by host, the others all together."""
    measures = [axes.x, axes.y, *([axes.colour] if axes.colour else [])]
    if done["host_name"].nunique() < 2 or not any(m.is_of_host for m in measures):
        return [("", done)]
    return [(str(host), runs) for host, runs in done.groupby("host_name", sort=False)]


def _runs(done: pd.DataFrame, limits: Mapping[str, float]) -> list[Paragraph | Table]:
    measures = [
        m
        for m in available_with_targets(done)
        if m.column not in ("weight_bytes", "latency_ms_p99", "cold_start_ms")
    ]
    cells = pd.DataFrame({"Run": done["id"].astype(str), "Name": done["name"].map(short_recipe)})
    for measure in measures:
        cells[measure.label] = [
            measure.write(value) + _bounds(pair, replace(measure, unit=""))
            for value, pair in zip(done[measure.column], _pairs(done, measure.column), strict=True)
        ]
    cells["Verdict"] = [
        "baseline" if is_base else text or NOTHING
        for is_base, text in zip(done["is_baseline"], verdict_labels(done), strict=True)
    ]
    text = {"Run", "Name", "Verdict", "Limits", "Tags", "Note", "Host"}
    if limits:
        cells["Limits"] = limits_text(done, limits).fillna(NOTHING)
    if done["tags"].map(bool).any():
        cells["Tags"] = done["tags"].map(lambda tags: ", ".join(tags or ()))
    if done["note"].map(bool).any():
        cells["Note"] = done["note"]
    if done["host_name"].nunique() > 1:
        cells["Host"] = done["host_name"]
    base = done["is_baseline"].astype(bool)
    for column in ("smaller", "accuracy_change", "speedup"):
        if MEASURES[column].label in cells:
            cells.loc[base, MEASURES[column].label] = NOTHING
    return [
        Paragraph("Values in brackets are 95 % intervals.", is_small=True),
        Table(cells, frozenset(text & set(cells)), "runs", records=records_of(done)),
    ]


def _layers(store: Store, done: pd.DataFrame) -> list[Section]:
    if not 1 <= len(done) <= MAX_RUNS_WITH_LAYERS:
        return []
    layers = {
        f"{run.id} · {short_recipe(run.name)}": run_rows.get_detail(store.database, int(run.id)).measured.get(
            "layers", []
        )
        for run in done.itertuples(index=False)
    }
    offered = set(measured_quantities([row for rows in layers.values() for row in rows]))
    parts: list[Paragraph | Drawing] = []
    for quantity in LAYER_METRICS:
        if quantity in offered:
            values = most_different(layer_values(layers, quantity))
            parts.append(Paragraph(QUANTITIES[quantity].meaning, is_small=True))
            alt = f"{QUANTITIES[quantity].label} of {counted(len(values), 'layer')} for {counted(len(layers), 'run')}."
            parts.append(Drawing(plot_layer_bars(values, quantity), alt, f"layers-{quantity}"))
    return [Section("Layer by layer", parts)] if parts else []


def _recipes(done: pd.DataFrame) -> Table:
    cells = pd.DataFrame(
        {
            "Run": done["id"].astype(str),
            "Recipe": done["recipe"],
            "Started (UTC)": done["started_at"].map(utc),
            "Took": done["run_seconds"].map(MEASURES["run_seconds"].write),
            "Verdict": [
                with_findings(text, found)
                for text, found in zip(done["verdict_text"], done["output_findings"], strict=True)
            ],
        }
    )
    return Table(
        cells, frozenset({"Run", "Recipe", "Started (UTC)", "Verdict"}), "recipes", cells.to_dict("records")
    )


def with_findings(verdict: str | None, findings: Sequence[str] | None) -> str:
    """A verdict with the findings on the outputs, each once."""
    text = verdict or ""
    more = [text for text in (findings if isinstance(findings, (list, tuple)) else ()) if text not in text]
    return " ".join(part for part in (text, *more) if part) or NOTHING


def _others(runs: pd.DataFrame) -> list[Section]:
    """Runs without metrics, with their state."""
    rest = runs[runs["state"] != "succeeded"]
    if rest.empty:
        return []
    cells = pd.DataFrame(
        {
            "Run": rest["id"].astype(str),
            "Recipe": rest["recipe"],
            "State": rest["state"],
            "Why": rest["error"].map(lambda text: NOTHING if is_missing(text) else text),
        }
    )
    return [
        Section("Runs without metrics", [Table(cells, frozenset(cells), "others", cells.to_dict("records"))])
    ]


def _pairs(done: pd.DataFrame, column: str) -> list[Any]:
    name = INTERVALS.get(column)
    return list(done[name]) if name in done else [None] * len(done)


def _bounds(pair: Any, measure: Any) -> str:
    if not isinstance(pair, (list, tuple)):
        return ""
    return f"\n({measure.write(pair[0])} to {measure.write(pair[1])})"
