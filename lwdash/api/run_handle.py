"""One run as an object: its file, its metrics, its layers, and figures."""

import shutil
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lwdash.api.error_messages import errors_in_words
from lwdash.charts.layer_bars import layer_values, most_different, plot_layer_bars
from lwdash.cli.run_records import METRICS, run_record
from lwdash.errors import NotFound, UserMistake
from lwdash.metrics.layer_metrics import QUANTITIES, measured_quantities
from lwdash.metrics.run_metrics import MEASURES
from lwdash.metrics.verdict_labels import verdict_label
from lwdash.settings import Settings
from storage import run_rows
from storage.records import StoredRun
from storage.run_files import tflite_path
from storage.store import Store

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHOWN = ("size_bytes", "accuracy", "agreement", "agreement_generated", "latency_ms_p50", "speedup")
"""Metrics in the text of a run."""


class RunHandle:
    """One recipe applied to one experiment. Everything is read from the database when it is asked for."""

    def __init__(self, settings: Settings, store: Store, run_id: int):
        """Use `ExperimentHandle.run`, or `ExperimentHandle[id]`."""
        self._settings, self._store = settings, store
        self.id = run_id
        """Its number, as in the dashboard and on the command line."""

    @property
    def recipe(self) -> str:
        return self._row().recipe

    @property
    def state(self) -> str:
        """`queued`, `running`, `succeeded`, `failed`, `stopped` or `cancelled`."""
        return self._row().state.value

    @property
    def error(self) -> str | None:
        """The message of a failed run, or the reason why a search has stopped it."""
        return self._row().error

    @property
    def record(self) -> dict[str, Any]:
        """Everything that `lwdash show --json` prints, without the layers."""
        with errors_in_words(self._settings):
            return run_record(self._store.database, self.id)

    @property
    def metrics(self) -> dict[str, Any]:
        """The measured metrics, with the keys and units of `--json`; None where nothing was measured.

        Accuracies and other shares are 0–1. Raises UserMistake for a run without a result.
        """
        self._succeeded()
        record = self.record
        return {key: record[key] for key in METRICS}

    @property
    def findings(self) -> list[str]:
        """Findings on these metrics, as on the run's page."""
        return [found["text"] for found in self.record["findings"]]

    @property
    def skipped(self) -> list[dict[str, str]]:
        """The layers that a step could not treat, each with `layer` and `reason`."""
        return list(self.record["skipped"])

    @property
    def layers(self) -> pd.DataFrame:
        """One row per operator of the .tflite, columns as in `lwdash show --layers --json`: bytes, macs,
        output_sqnr_db and more. Raises UserMistake for a run without a result.
        """
        self._succeeded()
        with errors_in_words(self._settings):
            record = run_record(self._store.database, self.id, with_layers=True)
        return pd.DataFrame(record["layers"])

    @property
    def tflite(self) -> bytes:
        """The content of the .tflite. Raises UserMistake for a run without a file."""
        return self.tflite_path.read_bytes()

    @property
    def tflite_path(self) -> Path:
        """The .tflite in the artifact store, named by its SHA-256. Read it, and never change it."""
        with errors_in_words(self._settings):
            return tflite_path(self._store, self._succeeded())

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the .tflite to `path`; return the path. Raises UserMistake where it cannot be written."""
        target = Path(path).expanduser()
        source = self.tflite_path
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise UserMistake(f"{target} cannot be written: {error.strerror}") from error
        return target

    def plot(self, quantity: str | None = None) -> "go.Figure":
        """Bars of one quantity, layer by layer: `bytes`, `output_sqnr_db`, `macs`, … as columns of `layers`.

        quantity: by default the bytes in the file. Raises UserMistake for one that was not measured.
        """
        rows = self.layers.to_dict("records")
        known = measured_quantities(rows)
        chosen = quantity or next(iter(known), "bytes")
        if chosen not in known:
            raise UserMistake(
                f"run {self.id} has no {chosen!r} of layers (it has: {', '.join(known) or 'none'})"
            )
        return plot_layer_bars(most_different(layer_values({self.recipe: rows}, chosen)), chosen)

    def _row(self) -> StoredRun:
        with errors_in_words(self._settings):
            row = run_rows.get_run(self._store.database, self.id)
        if row is None:
            raise NotFound(f"there is no run {self.id}")
        return row

    def _succeeded(self) -> StoredRun:
        row = self._row()
        if not row.has_succeeded:
            reason = f": {row.error}" if row.error else ""
            raise UserMistake(f"run {self.id} ({row.recipe}) has no result, it is {row.state.value}{reason}")
        return row

    def __repr__(self) -> str:
        row = self._row()
        head = f"run {self.id}, {row.recipe}: "
        if not row.has_succeeded:
            return head + (row.error or row.state.value)
        shown = [(MEASURES[key], row.metrics.get(key)) for key in SHOWN]
        texts = [f"{measure.label} {measure.write(value)}" for measure, value in shown if value is not None]
        verdict = verdict_label(row.metrics.get("verdict"))
        return head + ", ".join(texts if verdict is None else [*texts, verdict])


assert set(SHOWN) <= set(MEASURES), "a metric in the text of a run has no label"
assert "bytes" in QUANTITIES, "the default quantity of a plot must exist"
