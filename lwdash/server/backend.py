"""Data for the server's routes and its System page: files of runs, permissions, health, activity."""

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.requests import Request

import lwdash
from lwdash.engine import capsules
from lwdash.engine.scheduler import Engine
from lwdash.errors import NotFound
from lwdash.report import run_tables
from lwdash.report.file_names import c_file_name, file_name, stored_file_name
from lwdash.server.identity import sender
from lwdash.server.responses import FileLost, SignInNeeded
from lwdash.server.run_downloads import Download
from lwdash.serving.accounts import is_sign_in_on
from lwdash.settings import Settings
from storage import experiments, run_rows
from storage.analyses import SENSITIVITY, analysis_of
from storage.database import ping
from storage.errors import MissingArtifact
from storage.frames import run_row
from storage.logs import find_log
from storage.records import StoredExperiment, StoredRun
from storage.run_files import tflite_path
from storage.sharing import shared_experiment
from storage.store import Store
from storage.visitors import EVERYBODY, NOBODY, Visitor, bound_to

_LOG = logging.getLogger(__name__)

LONGEST_NUMBER = 15


class Dashboard:
    """One server's settings, store and engine, for its routes. Methods may block and are thread-safe."""

    def __init__(self, settings: Settings, store: Store, engine: Engine):
        self.settings, self.store, self.engine = settings, store, engine
        self.must_sign_in = is_sign_in_on(settings.auth)

    def keep_upload(self, path: Path, sha256: str) -> Path:
        self.store.artifacts.adopt(path, sha256)
        return self.store.artifacts.local_path(sha256)

    def identify(self, cookies: Mapping[str, str]) -> str | None:
        """The sender of a request with these cookies."""
        return sender(cookies, self.settings.auth_allow)

    def is_known(self, cookies: Mapping[str, str]) -> bool:
        return not self.must_sign_in or self.identify(cookies) is not None

    def is_shared(self, token: str) -> bool:
        return shared_experiment(self.store.database, token) is not None

    def find_tflite(self, run_id: str, request: Request) -> tuple[Path, str]:
        """A succeeded run's file and its download name. Raises NotFound, SignInNeeded or FileLost."""
        run, experiment = self._run(run_id, request)
        if not run.has_succeeded or run.tflite_sha256 is None:
            raise NotFound(f"run {run_id} has no file to download")
        with _checked():
            path = tflite_path(self.store, run)
        return path, file_name(experiment.name, run.recipe, run.id)

    def find_log(self, run_id: str, request: Request) -> tuple[Path, str]:
        """A run's log and its download name. Raises NotFound or SignInNeeded."""
        run, experiment = self._run(run_id, request)
        path = find_log(self.store.artifacts, self.settings.logs, run.id)
        if not path.is_file():
            raise NotFound(
                f"run {run_id} has no log here: it has not started, or its log was lost with its host"
            )
        return path, file_name(experiment.name, run.recipe, run.id).removesuffix(".tflite") + ".log"

    def makers(self) -> dict[str, Callable[[str, Request], Download]]:
        """Functions that create downloads of a run, by the suffix of the file name."""
        return {
            "h": self.make_header,
            "cc": self.make_source,
            "json": self.make_json,
            "tables.zip": self.make_tables,
            "project.zip": self.make_project,
            "zip": self.make_capsule,
            "stored": self.make_stored,
        }

    def make_stored(self, run_id: str, request: Request) -> Download:
        """A run's file in a storage form that LiteRT does not run; coded files come with their decoders."""
        run, experiment = self._run(run_id, request)
        name = stored_file_name(experiment.name, run.recipe, run.id)
        with _checked():
            data = capsules.stored_file(self.store, run.id, name.removesuffix(".coded.zip"))
        kind = "application/zip" if name.endswith(".zip") else "application/octet-stream"
        return Download(name, kind, io.BytesIO(data), len(data))

    def make_json(self, run_id: str, request: Request) -> Download:
        """All measurements of a run. Raises NotFound or SignInNeeded, as all the following methods, and FileLost."""
        name, tables = self._tables(run_id, request)
        return Download(f"{name}.json", "application/json", iter([run_tables.to_json(tables)]))

    def make_tables(self, run_id: str, request: Request) -> Download:
        """The same as a zip of CSVs."""
        name, tables = self._tables(run_id, request)
        packed = run_tables.to_zip(tables)
        return Download(f"{name}-tables.zip", "application/zip", packed, packed.getbuffer().nbytes)

    def _tables(self, run_id: str, request: Request) -> tuple[str, dict[str, run_tables.Records]]:
        run, experiment = self._run(run_id, request)
        details = run_rows.get_detail(self.store.database, run.id)
        figures = run_row(self.store.database, run.id) or {}
        analysis = analysis_of(self.store.database, run.id, SENSITIVITY)
        tables = run_tables.run_tables(
            figures,
            details.compressed,
            details.measured,
            analysis.measured if analysis else None,
        )
        return file_name(experiment.name, run.recipe, run.id).removesuffix(".tflite"), tables

    def make_header(self, run_id: str, request: Request) -> Download:
        """The header of a run's C array."""
        run, experiment = self._run(run_id, request)
        with _checked():
            text = capsules.c_header(self.store, run.id)
        return Download(c_file_name(experiment.name, run.id, ".h"), "text/plain; charset=utf-8", iter([text]))

    def make_source(self, run_id: str, request: Request) -> Download:
        """The definition of a run's C array."""
        run, experiment = self._run(run_id, request)
        header = c_file_name(experiment.name, run.id, ".h")
        with _checked():
            pieces = capsules.c_source(self.store, run.id, header)
        return Download(c_file_name(experiment.name, run.id, ".cc"), "text/plain; charset=utf-8", pieces)

    def make_capsule(self, run_id: str, request: Request) -> Download:
        """A run's capsule; it contains the originals only for users who may change the experiment."""
        run, experiment = self._run(run_id, request)
        with_originals = request.query_params.get("files") == "1"
        if with_originals and not self._visitor(request).can_change(experiment):
            raise NotFound(
                "only users who may change the experiment can download the original model and the data"
            )
        self.settings.scratch.mkdir(parents=True, exist_ok=True)
        with _checked(), tempfile.NamedTemporaryFile(dir=self.settings.scratch, suffix=".zip") as file:
            path = Path(file.name)
            capsules.make_capsule(self.settings, self.store, run.id, path, with_originals=with_originals)
            opened = path.open("rb")  # stays readable after the name is removed
            size = path.stat().st_size
        name = file_name(experiment.name, run.recipe, run.id).removesuffix(".tflite")
        with_files = "-with-model-and-data" if with_originals else ""
        return Download(f"{name}-capsule{with_files}.zip", "application/zip", opened, size)

    def make_project(self, run_id: str, request: Request) -> Download:
        """A run's project to flash."""
        run, experiment = self._run(run_id, request)
        self.settings.scratch.mkdir(parents=True, exist_ok=True)
        with _checked(), tempfile.NamedTemporaryFile(dir=self.settings.scratch, suffix=".zip") as file:
            capsules.make_project(self.settings, self.store, run.id, Path(file.name))
            path = Path(file.name)
            opened = path.open("rb")  # stays readable after the name is removed
            size = path.stat().st_size
        name = file_name(experiment.name, run.recipe, run.id).removesuffix(".tflite")
        return Download(f"{name}-project.zip", "application/zip", opened, size)

    def _run(self, run_id: str, request: Request) -> tuple[StoredRun, StoredExperiment]:
        """A run and its experiment, if the sender may see them."""
        visitor = self._visitor(request)
        if visitor == NOBODY:
            raise SignInNeeded
        database = bound_to(self.store.database, visitor)
        is_number = run_id.isdecimal() and len(run_id) <= LONGEST_NUMBER
        run = run_rows.get_run(database, int(run_id)) if is_number else None
        experiment = experiments.get_experiment(database, run.experiment_id) if run else None
        if run is None or experiment is None:
            raise NotFound(f"there is no run {run_id}")
        return run, experiment

    def _visitor(self, request: Request) -> Visitor:
        if not self.must_sign_in:
            return EVERYBODY
        shared = shared_experiment(self.store.database, request.query_params.get("share", ""))
        if shared is not None:
            return Visitor(shared=shared)
        email = self.identify(request.cookies)
        return replace(NOBODY, email=email)

    def health(self) -> dict[str, Any]:
        try:
            database = ping(self.store.database)
        except Exception as error:  # any exception of the driver means that it does not respond
            _LOG.exception("the database does not respond")
            database = f"does not answer ({type(error).__name__})"
        state = self.engine.state
        is_well = state != "down" and not database.startswith("does not")
        return {"ok": is_well, "database": database, "engine": state, "version": lwdash.__version__}


@contextlib.contextmanager
def _checked() -> Iterator[None]:
    """Convert errors on a missing or damaged file to FileLost, which the routes handle."""
    try:
        yield
    except MissingArtifact as error:
        raise FileLost(str(error)) from error
