"""Findings on a run as sentences: what was kept, what was lost, and what is often mistaken for a fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lwdash.advice.evidence import Evidence
from lwdash.percent_text import as_percent

KEPT_ZEROS = 0.95
VISIBLE_ZEROS = 0.3

Kind = Literal["good", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """kind: good (as hoped), note (worth knowing), problem (not what the recipe asked for)."""

    kind: Kind
    text: str


def findings(evidence: Evidence) -> list[Finding]:
    """Problems first, then what went well, then what explains a figure."""
    found = [
        *_baseline(evidence),
        *(Finding("problem", text) for text in evidence.figures.get("output_findings") or ()),
        *_micro(evidence),
        *_structure(evidence),
        *_floats(evidence),
        *_packing(evidence),
        *_canonical_form(evidence),
        *_steps(evidence),
        *_speed(evidence),
    ]
    order = ("problem", "good", "note")
    return sorted(found, key=lambda finding: order.index(finding.kind))


def _baseline(evidence: Evidence) -> Iterator[Finding]:
    if evidence.figures.get("is_baseline_below_chance"):
        yield Finding(
            "problem",
            "The baseline is right less often than chance: the labels are most likely not read in the order of the model's "
            "outputs. No accuracy, verdict or advice of this experiment can be relied on. List the classes in the order of "
            "the outputs in a new experiment.",
        )


def _structure(evidence: Evidence) -> Iterator[Finding]:
    audit = evidence.audit
    pruned = [f for f in audit if f.get("zeros_kept") is not None]
    for f in pruned:
        if f["zeros_kept"] < KEPT_ZEROS:
            yield Finding(
                "problem",
                f"{_layer(f)}: {as_percent(1 - f['zeros_kept'])} of the {f['zeros']:,} zeros that pruning made are no "
                "longer zero in the file.",
            )
    if pruned and all(f["zeros_kept"] >= KEPT_ZEROS for f in pruned):
        zeros = sum(f["zeros"] for f in pruned)
        yield Finding(
            "good", f"The {zeros:,} zeros that pruning made are zeros in the file, counted kernel by kernel."
        )
    clustered = [f for f in audit if f.get("distinct_stored") is not None]
    torn = [f for f in clustered if f["distinct_stored"] > f["distinct"]]
    apart = [f for f in torn if f.get("distinct_in_channel", f["distinct_stored"]) <= f["distinct"]]
    for f in torn:
        if f not in apart:
            yield Finding(
                "problem",
                f"{_layer(f)}: the {f['distinct']} shared values that clustering made are {f['distinct_stored']} in "
                "the file.",
            )
    if apart:
        worst = max(apart, key=lambda f: f["distinct_stored"])
        yield Finding(
            "note",
            f"Shared values differ from channel to channel in {len(apart)} of {len(clustered)} clustered kernels: the "
            f"{worst['distinct']} of {_layer(worst)} are {worst['distinct_stored']} in the file, at most "
            f"{worst['distinct_in_channel']} in a channel.",
        )
    if clustered and all(f["distinct_stored"] <= f["distinct"] for f in clustered):
        most = max(f["distinct_stored"] for f in clustered)
        yield Finding("good", f"Clustering holds in the file: at most {most} different weights a kernel.")
    for f in audit:
        if not f.get("is_found", True):
            yield Finding(
                "note", f"{_layer(f)}: its kernel was not recognized in the file, so it could not be checked."
            )


def _floats(evidence: Evidence) -> Iterator[Finding]:
    floats = evidence.float_operators
    if floats:
        named = ", ".join(dict.fromkeys(floats))
        yield Finding(
            "problem",
            f"{len(floats)} {'operator computes' if len(floats) == 1 else 'operators compute'} in float: {named}. "
            "A microcontroller needs float kernels for these, or does not run the file.",
        )
    elif (
        evidence.recipe and (step := evidence.recipe.tflite_step) and step.name == "int8" and evidence.layers
    ):
        yield Finding(
            "good", f"Integer throughout: none of the {len(evidence.layers)} operators computes in float."
        )


def _packing(evidence: Evidence) -> Iterator[Finding]:
    figures = evidence.figures
    size, gzip, huffman = (figures.get(k) for k in ("size_bytes", "gzip_bytes", "huffman_bytes"))
    zeros = figures.get("sparsity")
    if zeros is not None and zeros >= VISIBLE_ZEROS and size and gzip:
        yield Finding(
            "note",
            f"Gzip is where the zeros show: {_kb(size)} become {_kb(gzip)}. A .tflite itself stores a zero like any "
            "other value, so pruning alone does not make it smaller.",
        )
    distinct = [
        r["distinct_values"] for r in evidence.layers if r.get("kernel_values") and r.get("distinct_values")
    ]
    is_clustered = evidence.recipe and any(s.name == "cluster" for s in evidence.recipe.keras_steps)
    if is_clustered and huffman and distinct and figures.get("weight_bytes"):
        yield Finding(
            "note",
            f"Shared values do not make a .tflite smaller by themselves: its weights take {_kb(figures['weight_bytes'])} "
            f"as stored and {_kb(huffman)} Huffman-coded.",
        )


def _steps(evidence: Evidence) -> Iterator[Finding]:
    """Why the integer file of a recurrent network can be several times as large as its float one."""
    steps = evidence.unrolled_steps
    if not steps:
        return
    size, before, growth = (
        evidence.figures.get("size_bytes"),
        evidence.figures.get("baseline_size_bytes"),
        evidence.growth,
    )
    is_larger = growth is not None and growth > 1
    became = (
        f" {_kb(before)} became {_kb(size)}, {growth:.1f} times as much."
        if is_larger and size and before
        else ""
    )
    yield Finding(
        "problem" if is_larger else "note",
        f"The recurrent layers stand in the file as {steps:,} steps one after the other, since loops have no integer "
        f"form. Each step brings operators of its own, while the weights are stored once.{became} "
        + (
            "Use dynamic for this network: its weights become 8-bit too, and the layers stay loops."
            if is_larger
            else "With dynamic the layers stay loops."
        ),
    )


def _canonical_form(evidence: Evidence) -> Iterator[Finding]:
    """What had to be changed of the model before anything else, such as a batch size or a layout."""
    for stage in evidence.stages:
        for change in (stage["facts"].get("canonical_form") or {}).get("changes", ()):
            yield Finding("note", str(change))


def _speed(evidence: Evidence) -> Iterator[Finding]:
    found = evidence.figures.get("xnnpack")
    if isinstance(found, dict) and not found["outside"] and found["partitions"] == 1:
        yield Finding(
            "good", f"LiteRT's fast kernels (XNNPACK) run all {found['inside']} operators in one part."
        )
    for reason in evidence.figures.get("why_not_faster") or ():
        yield Finding("note", reason)
    yield from _time_outside_xnnpack(evidence)


def _time_outside_xnnpack(evidence: Evidence) -> Iterator[Finding]:
    outside = [row.get("time_share") for row in evidence.layers if row.get("is_in_xnnpack") is False]
    shares = [share for share in outside if share is not None]
    if shares and len(shares) == len(outside):
        count = f"{len(shares)} operator{'s' * (len(shares) != 1)}"
        yield Finding(
            "note",
            f"Timed one by one, the {count} outside of XNNPACK take {100 * sum(shares):.0f} % of the time.",
        )


def _micro(evidence: Evidence) -> Iterator[Finding]:
    reason = evidence.figures.get("arena_reason")
    if reason:
        yield Finding("note", f"{reason} So there is no arena to plan.")


def _layer(finding: object) -> str:
    assert isinstance(finding, dict)
    return str(finding["kernel"]).rpartition(":")[0]


def _kb(value: float) -> str:
    return f"{value:.0f} B" if value < 1000 else f"{value / 1000:,.1f} kB"
