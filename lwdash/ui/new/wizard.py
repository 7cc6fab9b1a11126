"""The steps of the page that starts an experiment: model, data, recipes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from lwdash.datasets.data_facts import DataFacts
from lwdash.datasets.data_settings import NO_LABEL, TASKS, DataSettings
from lwdash.datasets.fit import Fit
from lwdash.engine import submit
from lwdash.engine.file_inspection import inspect_as, inspect_file
from lwdash.engine.linting import Linted, lint_data
from lwdash.errors import UserMistake
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.settings import Settings
from lwdash.ui.new.draft import FOUND
from lwdash.ui.new.file_facts import show_data, show_model, show_parts
from lwdash.ui.new.linter_findings import show_findings
from lwdash.ui.new.uploader import uploader
from lwdash.ui.shared.markdown_text import plain
from storage import experiments
from storage.store import Store

NONE = "there is no label column"
OWN_PARTS = {
    "evaluation": "Every figure is measured on these rows.",
    "calibration": "The ranges of integer files are set on these rows.",
}
HEADERS = {FOUND: None, "has the columns' names": True, "is a sample already": False}
DELIMITERS = {FOUND: None, "comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}


def model_step(settings: Settings, store: Store) -> tuple[ModelFacts, Mapping[str, Any]] | None:
    """Uploads and inspects a model; None until there is one that can be used."""
    row = _uploaded_row(
        settings,
        store,
        "model",
        label="Keras model",
        accept=(".keras", ".h5", ".hdf5", ".zip"),
        help="A .keras or .h5 file of Keras 2 or 3, or a zipped SavedModel. It is inspected without running any of it.",
    )
    if row is None:
        return None
    try:
        facts = submit.model_facts(row)
    except UserMistake as error:
        st.error(plain(str(error)), icon=":material/block:")
        return None
    show_model(facts, row)
    return facts, row


@dataclass(frozen=True)
class ChosenData:
    """A data file that fits the model, how it is read, files of their own for single parts, what the linter says."""

    settings: DataSettings
    fit: Fit
    row: Mapping[str, Any]
    own_parts: Mapping[str, Mapping[str, Any]]
    linted: Linted


def data_step(
    settings: Settings, store: Store, model: ModelFacts, model_row: Mapping[str, Any]
) -> ChosenData | None:
    """Uploads a CSV, fits it to the model and checks it; None until it, and every file for a single part, fits."""
    row = _uploaded_row(
        settings,
        store,
        "data",
        label="Samples (CSV)",
        accept=(".csv", ".tsv", ".txt", ".gz", ".csv.gz"),
        help="One sample a row, with or without a header and a label column; gzip too.",
    )
    if row is None:
        return None
    try:
        facts = submit.data_facts(row)
        chosen = _data_settings(facts)
        # The tick counts for these files read in this way, and for no others.
        trust = f"trust:{model_row['sha256']}:{row['sha256']}:{json.dumps(chosen.to_dict())}"
        chosen = replace(chosen, trusts_labels=bool(st.session_state.get(trust, False)))
        row = inspect_as(settings, store, row, chosen.to_dict())
        facts = submit.data_facts(row)
        fitted = submit.fit(model, facts, chosen)
    except UserMistake as error:
        st.error(plain(str(error)), icon=":material/block:")
        return None
    show_data(facts, fitted)
    own_parts = _own_parts(settings, store, model, chosen)
    if own_parts is None:
        return None
    with st.spinner("Checking the rows…"):
        linted = lint_data(
            settings, store, model_row=model_row, data_row=row, chosen=chosen, own_parts=own_parts
        )
    if linted.error:
        st.error(plain(linted.error), icon=":material/block:")
        return None
    show_parts(linted.rows or {}, own_parts)
    show_findings(linted.findings)
    if any(f.code in ("labels-contradicted", "below-chance") for f in linted.findings):
        st.checkbox(
            "The labels are right as they are read",
            key=trust,
            help="Goes on although the model's own outputs contradict them. Every verdict will say so.",
        )
    if linted.stop is not None:
        st.error(
            "No run can be started while the model contradicts the labels: list the classes in the order of the outputs, "
            "or tick the box above.",
            icon=":material/block:",
        )
        return None
    return ChosenData(chosen, fitted, row, own_parts, linted)


def _own_parts(
    settings: Settings, store: Store, model: ModelFacts, chosen: DataSettings
) -> dict[str, Mapping[str, Any]] | None:
    """Files of their own for evaluation and calibration, read like the first; None while one does not fit."""
    found: dict[str, Mapping[str, Any]] = {}
    with st.expander("Other files to measure or to calibrate with", icon=":material/call_split:"):
        for column, (part, use) in zip(st.columns(2), OWN_PARTS.items(), strict=True):
            with column:
                row = _uploaded_row(
                    settings,
                    store,
                    "data",
                    label=f"Rows for {part} (CSV)",
                    accept=(".csv", ".tsv", ".txt", ".gz", ".csv.gz"),
                    help=f"{use} Without it, a fifth of the rows above is taken.",
                    key=part,
                )
                if row is None:
                    continue
                try:
                    row = inspect_as(settings, store, row, chosen.to_dict())
                    submit.fit(model, submit.data_facts(row), chosen)
                except UserMistake as error:
                    st.error(plain(str(error)), icon=":material/block:")
                    return None
                found[part] = row
    return found


def _data_settings(facts: DataFacts) -> DataSettings:
    with st.expander("How the file is read", icon=":material/tune:"):
        left, middle, right = st.columns(3)
        candidates = [c.name for c in facts.candidates]
        others = [name for name in facts.names[:200] if name not in candidates]
        options = [FOUND, NONE, *candidates, *others]
        for key, known in (("label", options), ("header", HEADERS), ("delimiter", DELIMITERS)):
            chosen = st.session_state.get(f"data:{key}", FOUND)
            if chosen not in known and ".." not in chosen:  # left over from another file
                del st.session_state[f"data:{key}"]
        if not set(st.session_state.get("data:ignored", [])) <= set(facts.names[:200]):
            del st.session_state["data:ignored"]
        label = left.selectbox(
            "Label column", options, key="data:label", accept_new_options=True,
            help="Or first..last, where there is one column for each class or for each number that the model answers",
        )  # fmt: skip
        ignored = middle.multiselect("Columns to leave out", list(facts.names[:200]), key="data:ignored")
        task = right.selectbox(
            "Task",
            [FOUND, *TASKS],
            key="data:task",
            help="What the outputs are for. Labels decide it; without labels it is a guess from the model.",
        )
        seed = right.number_input("Seed of the split", 0, 2**31 - 1, key="data:seed")
        header = left.selectbox("First line", list(HEADERS), key="data:header")
        delimiter = middle.selectbox("Columns are separated by", list(DELIMITERS), key="data:delimiter")
        classes = right.text_input(
            "Labels in the order of the outputs",
            key="data:classes",
            placeholder="found from the data",
            help="For example: normal, ectopic, noise. Empty: whole numbers count from 0 or 1, texts are sorted.",
        )
        preprocess = st.text_input(
            "Pre-processing",
            key="data:preprocess",
            placeholder="resize(500, method=area) + scale(minmax, per=row)",
            help="What was done to the samples before the model was trained on them; empty if the file holds them so.",
        )
    return DataSettings(
        label=None if label == FOUND else NO_LABEL if label == NONE else label,
        classes=tuple(text.strip() for text in classes.split(",") if text.strip()) or None,
        has_header=HEADERS[header],
        delimiter=DELIMITERS[delimiter],
        ignored=tuple(ignored),
        preprocess=preprocess,
        seed=int(seed),
        task=None if task == FOUND else task,
    )


def _uploaded_row(
    settings: Settings,
    store: Store,
    kind: str,
    *,
    label: str,
    accept: tuple[str, ...],
    help: str,
    key: str | None = None,
) -> Mapping[str, Any] | None:
    sent = uploader(
        label,
        kind=kind,
        accept=accept,
        help=help,
        key=f"upload:{key or kind}",
        limit_bytes=settings.max_upload << 20,
    )
    if sent is None:
        return None
    if not store.artifacts.has(sent.sha256):
        st.error("The server no longer has this file. Send it again.", icon=":material/error:")
        return None
    size_bytes = store.artifacts.local_path(sent.sha256).stat().st_size
    experiments.add_file(
        store.database, sha256=sent.sha256, kind=kind, name=sent.name[:255], size_bytes=size_bytes
    )
    with st.spinner(f"Reading {sent.name}…"):
        return inspect_file(settings, store, sent.sha256, kind)
