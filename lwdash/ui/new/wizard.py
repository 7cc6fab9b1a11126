"""The steps of the page that starts an experiment: model, data, recipes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import streamlit as st

from lwdash.datasets.data_facts import DataFacts
from lwdash.datasets.data_settings import DATA_FILES, DATA_SUFFIXES, NO_LABEL, TASKS, DataSettings
from lwdash.datasets.fit import Fit
from lwdash.engine import submit
from lwdash.engine.input_files.file_inspection import inspect_as, inspect_file
from lwdash.engine.input_files.linting import Linted, lint_data
from lwdash.engine.input_files.row_generation import generate_data
from lwdash.errors import UserMistake
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.settings import Settings
from lwdash.ui.new.code_field import with_code
from lwdash.ui.new.draft import FOUND
from lwdash.ui.new.file_facts import (
    data_line,
    show_data,
    show_generated_rows,
    show_model,
    show_parts,
    value_range,
)
from lwdash.ui.new.linter_findings import show_findings
from lwdash.ui.new.sent_files import sent_file
from lwdash.ui.new.uploader import recall_upload
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import counted
from storage.records import StoredFile
from storage.store import Store

NONE = "there is no label column"
OWN_PARTS = {
    "evaluation": "Every metric is measured on these rows.",
    "calibration": "These rows set the ranges of integer files.",
}
HEADERS = {FOUND: None, "has the columns' names": True, "is already a sample": False}
DELIMITERS = {FOUND: None, "comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}


def model_step(settings: Settings, store: Store) -> tuple[ModelFacts, StoredFile] | None:
    """Upload and inspect a model; None until there is a usable one."""
    row = _uploaded_row(
        settings,
        store,
        "model",
        label="Keras model",
        accept=(".keras", ".h5", ".hdf5", ".zip", ".tflite"),
        help=(
            "A .keras or .h5 file of Keras 2 or 3, a zipped SavedModel, or a .tflite. It is inspected without "
            "running its code."
        ),
    )
    if row is None:
        return None
    if settings.allow_code and not row.name.endswith(".tflite"):
        row = with_code(settings, store, row)
    try:
        facts = submit.model_facts(row)
    except UserMistake as error:
        st.error(plain(str(error)), icon=":material/block:")
        return None
    # Finished when there is data: then only its line is in the way to the next steps.
    layers = f"{counted(len(facts.layers), 'layer')}, " if facts.layers else ""
    with st.expander(
        plain(f"{facts.name}: {layers}written by {facts.written_by}"),
        expanded=recall_upload("upload:data") is None and not st.session_state.get("data:none"),
        icon=":material/layers:",
    ):
        show_model(facts, row)
    return facts, row


@dataclass(frozen=True)
class ChosenData:
    """A data file that matches the model, its settings, separate files for single parts, and the linter's findings."""

    settings: DataSettings
    fit: Fit
    row: StoredFile
    own_parts: Mapping[str, StoredFile]
    linted: Linted


def data_step(
    settings: Settings, store: Store, model: ModelFacts, model_row: StoredFile
) -> ChosenData | None:
    """Upload a data file, match it to the model and check it; None until it matches, with every file for a single part.

    Without data, rows are generated from the model.
    """
    has_none = st.toggle(
        "I have no data",
        key="data:none",
        help=(
            "Rows are generated from the model. Sizes, latencies, memory and targets are measured; the accuracy is not, "
            "and no recipe can train."
        ),
    )
    if has_none:
        return _generated_step(settings, store, model, model_row)
    row = _uploaded_row(
        settings,
        store,
        "data",
        label="Samples",
        accept=DATA_SUFFIXES,
        help=f"{DATA_FILES[0].upper()}{DATA_FILES[1:]}; with or without labels.",
    )
    if row is None:
        return None
    try:
        facts = submit.data_facts(row)
        chosen = _data_settings(facts)
        # The tick applies only to these files with these settings.
        trust = f"trust:{model_row.sha256}:{row.sha256}:{json.dumps(chosen.to_dict())}"
        chosen = replace(chosen, trusts_labels=bool(st.session_state.get(trust, False)))
        row = inspect_as(settings, store, row, chosen.to_dict())
        facts = submit.data_facts(row)
        fitted = submit.fit(model, facts, chosen)
    except UserMistake as error:
        st.error(plain(str(error)), icon=":material/block:")
        return None
    facts_place = st.container()
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
    # Finished: only its line is in the way to the next steps, unless something in it needs a look.
    with facts_place.expander(
        plain(data_line(facts, fitted)), expanded=bool(fitted.warnings), icon=":material/table_rows:"
    ):
        show_data(facts, fitted)
        show_parts(linted.rows or {}, own_parts)
    show_findings(linted.findings)
    if any(f.code in ("labels-contradicted", "below-chance") for f in linted.findings):
        st.checkbox(
            "The labels are correct",
            key=trust,
            help=(
                "Continue although the model's own outputs contradict the labels. Every verdict will "
                "mention it."
            ),
        )
    if linted.stop is not None:
        st.error(
            "The model contradicts the labels, so no run can start. List the classes in the order of the "
            "outputs, or tick the box above.",
            icon=":material/block:",
        )
        return None
    return ChosenData(chosen, fitted, row, own_parts, linted)


def _generated_step(
    settings: Settings, store: Store, model: ModelFacts, model_row: StoredFile
) -> ChosenData | None:
    """Rows generated from the model, with what they are good for; None where nothing tells the values of an input."""
    left, middle, right = st.columns(3)
    told = "from the model"
    help = "Needed where the model's first layers do not tell which values it takes"
    low = left.number_input(
        "Range of the values: from", value=None, placeholder=told, format="%.6g", key="data:low", help=help
    )
    high = middle.number_input("to", value=None, placeholder=told, format="%.6g", key="data:high", help=help)
    seed = int(right.number_input("Seed of the rows", 0, 2**31 - 1, key="data:seed"))
    if (low is None) != (high is None):
        st.info("Give both ends of the range, or neither.", icon=":material/straighten:")
        return None
    stated = None if low is None or high is None else (float(low), float(high))
    try:
        with st.spinner("Generating rows from the model…"):
            row, chosen = generate_data(settings, store, model_row, seed=seed, stated=stated)
        facts = submit.data_facts(row)
        fitted = submit.fit(model, facts, chosen)
    except UserMistake as error:
        st.error(plain(str(error)), icon=":material/block:")
        return None
    with st.expander(
        plain(f"{counted(facts.rows, 'generated row')}, values {value_range(facts)}"),
        icon=":material/table_rows:",
    ):
        show_generated_rows(facts, fitted)
    linted = lint_data(settings, store, model_row=model_row, data_row=row, chosen=chosen)
    show_findings(linted.findings)
    return ChosenData(chosen, fitted, row, {}, linted)


def _own_parts(
    settings: Settings, store: Store, model: ModelFacts, chosen: DataSettings
) -> dict[str, StoredFile] | None:
    """Separate files for evaluation and calibration, read like the main file; None while one does not match."""
    found: dict[str, StoredFile] = {}
    with st.expander("Separate evaluation and calibration files", icon=":material/call_split:"):
        for column, (part, use) in zip(st.columns(2), OWN_PARTS.items(), strict=True):
            with column:
                row = _uploaded_row(
                    settings,
                    store,
                    "data",
                    label=f"Rows for {part}",
                    accept=DATA_SUFFIXES,
                    help=f"{use} Without it, a fifth of the rows above is used.",
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
        arrays = [name for name, _, _ in facts.spread]
        columns = [*arrays, *facts.names[:200]]
        others = [name for name in columns if name not in candidates]
        options = [FOUND, NONE, *candidates, *others]
        for key, known in (("label", options), ("header", HEADERS), ("delimiter", DELIMITERS)):
            chosen = st.session_state.get(f"data:{key}", FOUND)
            if chosen not in known and ".." not in chosen:  # left over from another file
                del st.session_state[f"data:{key}"]
        if not set(st.session_state.get("data:ignored", [])) <= set(columns):
            del st.session_state["data:ignored"]
        label = left.selectbox(
            "Label column", options, key="data:label", accept_new_options=True,
            help="Or first..last, if there is one column per class or per number that the model outputs",
        )  # fmt: skip
        ignored = middle.multiselect("Columns to leave out", columns, key="data:ignored")
        task = right.selectbox(
            "Task",
            [FOUND, *TASKS],
            key="data:task",
            help=(
                "The task of the outputs. Labels determine it; without labels it is a guess from the model."
            ),
        )
        seed = right.number_input("Seed of the split", 0, 2**31 - 1, key="data:seed")
        header, delimiter = FOUND, FOUND
        if facts.file_format == "csv":
            header = left.selectbox("First line", list(HEADERS), key="data:header")
            delimiter = middle.selectbox("Column separator", list(DELIMITERS), key="data:delimiter")
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
            help=(
                "Processing of the samples before the model was trained on them; empty if the file "
                "already holds the processed values."
            ),
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
) -> StoredFile | None:
    sent = sent_file(
        store, kind, label=label, accept=accept, help=help, key=key, limit_bytes=settings.max_upload << 20
    )
    if sent is None:
        return None
    with st.spinner(f"Reading {sent.name}…"):
        return inspect_file(settings, store, sent.sha256, kind)
