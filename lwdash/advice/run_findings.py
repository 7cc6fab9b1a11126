"""Findings on a run as sentences: what was preserved, what was lost, and what looks like a fault but is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from lwdash.advice.evidence import Evidence
from lwdash.advice.recipe_changes import Topic
from lwdash.advice.suggestions import suggest
from lwdash.percent_text import as_percent

KEPT_ZEROS = 0.95
VISIBLE_ZEROS = 0.3

REMEDY = re.compile(
    r" (Try int16x8, a last layer|In an integer file the numbers of one output share) .*$", re.DOTALL
)
"""Advice at the end of a stored finding on outputs. It was written without the recipe, which may already follow it."""

Kind = Literal["good", "note", "problem"]


@dataclass(frozen=True)
class RunFinding:
    """A finding on one run.

    kind: good (as intended), note (useful to know), problem (not what the recipe asked for). topic: of the suggestions
    that follow from it.
    """

    kind: Kind
    text: str
    topic: Topic | None = None


def findings(evidence: Evidence) -> list[RunFinding]:
    """Problems first, then good findings, then explanations of metrics.

    A finding names a recipe only if it is among the suggestions, so that the two cannot contradict each other.
    """
    found = [
        *_baseline(evidence),
        *(
            RunFinding("problem", REMEDY.sub("", text), "lost output")
            for text in evidence.metrics.get("output_findings") or ()
        ),
        *_micro(evidence),
        *_structure(evidence),
        *_floats(evidence),
        *_packing(evidence),
        *_canonical_form(evidence),
        *_steps(evidence),
        *_speed(evidence),
    ]
    order = ("problem", "good", "note")
    suggested: dict[Topic | None, str] = {}
    for suggestion in suggest(evidence):
        suggested.setdefault(suggestion.topic, suggestion.recipe)
    return [
        replace(finding, text=f"{finding.text} To try next: {suggested[finding.topic]}.")
        if finding.topic in suggested and finding.topic is not None
        else finding
        for finding in sorted(found, key=lambda finding: order.index(finding.kind))
    ]


def _baseline(evidence: Evidence) -> Iterator[RunFinding]:
    if evidence.metrics.get("is_baseline_below_chance"):
        yield RunFinding(
            "problem",
            "The baseline is right less often than chance. Probably the labels are not in the order of "
            "the model's outputs. No accuracy, verdict or advice of this experiment is reliable. Create "
            "a new experiment and list the classes in the order of the outputs.",
        )


def _structure(evidence: Evidence) -> Iterator[RunFinding]:
    audit = evidence.audit
    pruned = [f for f in audit if f.get("zeros_kept") is not None]
    for f in pruned:
        if f["zeros_kept"] < KEPT_ZEROS:
            yield RunFinding(
                "problem",
                f"{_layer(f)}: {as_percent(1 - f['zeros_kept'])} of the {f['zeros']:,} zeros from pruning "
                "are no longer zero in the file.",
            )
    if pruned and all(f["zeros_kept"] >= KEPT_ZEROS for f in pruned):
        zeros = sum(f["zeros"] for f in pruned)
        yield RunFinding(
            "good", f"All {zeros:,} zeros from pruning are zeros in the file, counted kernel by kernel."
        )
    clustered = [f for f in audit if f.get("distinct_stored") is not None]
    torn = [f for f in clustered if f["distinct_stored"] > f["distinct"]]
    apart = [f for f in torn if f.get("distinct_in_channel", f["distinct_stored"]) <= f["distinct"]]
    for f in torn:
        if f not in apart:
            yield RunFinding(
                "problem",
                f"{_layer(f)}: the {f['distinct']} shared values from clustering are "
                f"{f['distinct_stored']} in the file.",
            )
    if apart:
        worst = max(apart, key=lambda f: f["distinct_stored"])
        yield RunFinding(
            "note",
            f"Shared values differ between channels in {len(apart)} of {len(clustered)} clustered "
            f"kernels: the {worst['distinct']} of {_layer(worst)} are {worst['distinct_stored']} in the "
            f"file, at most {worst['distinct_in_channel']} in a channel.",
        )
    if clustered and all(f["distinct_stored"] <= f["distinct"] for f in clustered):
        most = max(f["distinct_stored"] for f in clustered)
        yield RunFinding(
            "good", f"Clustering is preserved in the file: at most {most} different weights per kernel."
        )
    for f in audit:
        if not f.get("is_found", True):
            yield RunFinding(
                "note",
                (f"{_layer(f)}: its kernel could not be checked, because it was not recognized in the file."),
            )


def _floats(evidence: Evidence) -> Iterator[RunFinding]:
    floats = evidence.float_operators
    if floats:
        named = ", ".join(dict.fromkeys(floats))
        yield RunFinding(
            "problem",
            f"{len(floats)} {'operator computes' if len(floats) == 1 else 'operators compute'} in float: "
            f"{named}. A microcontroller needs float kernels for them, or cannot run the file.",
        )
    elif (
        evidence.recipe and (step := evidence.recipe.tflite_step) and step.name == "int8" and evidence.layers
    ):
        yield RunFinding(
            "good", f"Integer throughout: none of the {len(evidence.layers)} operators computes in float."
        )


def _packing(evidence: Evidence) -> Iterator[RunFinding]:
    metrics = evidence.metrics
    size, gzip, huffman = (metrics.get(k) for k in ("size_bytes", "gzip_bytes", "huffman_bytes"))
    zeros = metrics.get("sparsity")
    if zeros is not None and zeros >= VISIBLE_ZEROS and size and gzip:
        storage = evidence.recipe.storage_step if evidence.recipe else None
        is_sparse = storage is not None and storage.name == "sparse"
        yield RunFinding(
            "note",
            f"The file does not store the zeros: {_kb(size)}, and {_kb(gzip)} gzipped."
            if is_sparse
            else f"The file stores the zeros: {_kb(size)}, and {_kb(gzip)} gzipped.",
            None if is_sparse else "zeros",
        )
    distinct = [
        r["distinct_values"] for r in evidence.layers if r.get("kernel_values") and r.get("distinct_values")
    ]
    is_clustered = evidence.recipe and any(s.name == "cluster" for s in evidence.recipe.keras_steps)
    if is_clustered and huffman and distinct and metrics.get("weight_bytes"):
        yield RunFinding(
            "note",
            "Shared values alone do not make a .tflite smaller: its weights take "
            f"{_kb(metrics['weight_bytes'])} as stored and {_kb(huffman)} Huffman-coded.",
        )


def growth_reason(evidence: Evidence) -> str:
    """Reason why a file is larger than its float baseline; empty where it is not, or where no reason is known."""
    growth, steps = evidence.growth, evidence.unrolled_steps
    if growth is None or growth <= 1:
        return ""
    if steps:
        return (
            f"The recurrent layers are unrolled into {steps:,} consecutive steps. "
            "Each step has its own operators; the weights are stored once."
        )
    weights, size = evidence.metrics.get("weight_bytes"), evidence.metrics.get("size_bytes")
    if weights is not None and size and weights < size / 2:
        return (
            f"The weights take {_kb(weights)} of the file's {_kb(size)}. The rest is the graph: names, shapes, scales, and "
            "operators that the format adds."
        )
    return ""


def _steps(evidence: Evidence) -> Iterator[RunFinding]:
    """The growth of an integer file of a recurrent network, with its reason."""
    steps, reason = evidence.unrolled_steps, growth_reason(evidence)
    size, before, growth = (
        evidence.metrics.get("size_bytes"),
        evidence.metrics.get("baseline_size_bytes"),
        evidence.growth,
    )
    if reason and size and before and growth:
        became = f" {_kb(before)} became {_kb(size)}, {growth:.1f} times as much."
        yield RunFinding("problem", reason + became, "growth")
    elif steps:
        yield RunFinding(
            "note",
            f"The recurrent layers are unrolled into {steps:,} consecutive steps. "
            "Each step has its own operators; the weights are stored once.",
        )


def _canonical_form(evidence: Evidence) -> Iterator[RunFinding]:
    """Changes that the model needed before anything else, such as a batch size or a layout."""
    for stage in evidence.stages:
        for change in (stage["facts"].get("canonical_form") or {}).get("changes", ()):
            yield RunFinding("note", str(change))


def _speed(evidence: Evidence) -> Iterator[RunFinding]:
    found = evidence.metrics.get("xnnpack")
    if isinstance(found, dict) and not found["outside"] and found["partitions"] == 1:
        yield RunFinding(
            "good", f"LiteRT's fast kernels (XNNPACK) run all {found['inside']} operators in one part."
        )
    for reason in evidence.metrics.get("why_not_faster") or ():
        yield RunFinding("note", reason)
    yield from _time_outside_xnnpack(evidence)


def _time_outside_xnnpack(evidence: Evidence) -> Iterator[RunFinding]:
    outside = [row.get("time_share") for row in evidence.layers if row.get("is_in_xnnpack") is False]
    shares = [share for share in outside if share is not None]
    if shares and len(shares) == len(outside):
        share = f"{100 * sum(shares):.0f} % of the time"
        what = (
            "the operator outside XNNPACK takes"
            if len(shares) == 1
            else f"the {len(shares)} operators outside XNNPACK take"
        )
        yield RunFinding("note", f"Timed one by one, {what} {share}.")


def _micro(evidence: Evidence) -> Iterator[RunFinding]:
    reason = evidence.metrics.get("arena_reason")
    if reason:
        yield RunFinding("note", f"{reason} So there is no arena plan.")


def _layer(finding: object) -> str:
    assert isinstance(finding, dict)
    return str(finding["kernel"]).rpartition(":")[0]


def _kb(value: float) -> str:
    return f"{value:.0f} B" if value < 1000 else f"{value / 1000:,.1f} kB"
