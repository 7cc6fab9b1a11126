"""A capsule end to end on the command line: made, checked without lwdash, made again, and what differs is said."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import Finished, Sample, call_lwdash
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from lwdash.cli.verify import compare_libraries, compare_metrics, lines
from lwdash.errors import NotFound
from lwdash.server.responses import SignInNeeded
from lwdash.server.run_downloads import Download, takeaway_routes

pytestmark = pytest.mark.processes

INT8 = 2
"""The run of `int8` in the finished home."""


@pytest.fixture(scope="module")
def capsule(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("capsule") / "waves.zip"
    written = call_lwdash(finished.home, "capsule", str(INT8), "--out", out, "--json")
    assert written.code == 0, written.err
    assert written.json["size_bytes"] == out.stat().st_size
    return out


def test_evaluate_reproduces_the_accuracy_with_numpy_and_litert_alone(
    capsule: Path, sample: Sample, tmp_path: Path
) -> None:
    zipfile.ZipFile(capsule).extractall(tmp_path)
    blocked = "import sys\nfor name in ('lwdash', 'tensorflow', 'keras', 'pandas', 'pyarrow'): sys.modules[name] = None\n"
    program = f"{blocked}import runpy\nsys.argv[1:] = {[str(sample.data)]!r}\nrunpy.run_path('evaluate.py', "
    program += "run_name='__main__')"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    stated = json.loads((tmp_path / "capsule.json").read_text())["expected"]["accuracy"]
    assert f"accuracy: {stated:.6g}, expected {stated:.6g}: the same" in ended.stdout
    other = tmp_path / "other.csv"
    other.write_bytes(sample.data.read_bytes() + b"\n")
    ended = subprocess.run(
        [sys.executable, "evaluate.py", other], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "is not waves.csv: its SHA-256 is" in ended.stderr


def test_verify_makes_the_same_bytes_again_and_says_so(capsule: Path, sample: Sample, tmp_path: Path) -> None:
    """In a home of its own: nothing of the run is there to be taken from a cache."""
    called = call_lwdash(
        tmp_path / "home", "verify", capsule, "--model", sample.model, "--data", sample.data, "--json"
    )
    assert called.code == 0, called.err
    report = called.json
    assert report["reproduced"]
    assert report["bytes_equal"]
    assert report["baseline_equal"]
    assert report["libraries"] == []
    figures = {f["figure"]: f for f in report["figures"]}
    assert figures["accuracy"]["expected"] == figures["accuracy"]["found"]
    assert figures["size_bytes"]["agrees"]
    assert not (tmp_path / "home" / "artifacts").exists() or not any(
        (tmp_path / "home" / "artifacts").iterdir()
    )


def test_verify_asks_for_what_the_capsule_does_not_hold_and_checks_what_it_gets(
    capsule: Path, sample: Sample, tmp_path: Path
) -> None:
    called = call_lwdash(tmp_path, "verify", capsule, "--data", sample.data, "--json")
    assert called.code == 2
    assert "does not contain its model file waves.keras" in called.json["error"]
    assert "--model" in called.json["error"]
    called = call_lwdash(tmp_path, "verify", capsule, "--model", sample.data, "--data", sample.data, "--json")
    assert called.code == 2
    assert "is not the capsule's model file waves.keras" in called.json["error"]
    called = call_lwdash(tmp_path, "verify", sample.model, "--json")
    assert called.code == 2
    assert "Traceback" not in called.err


def test_a_c_array_is_written_with_its_header(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "model_data.cc"
    called = call_lwdash(finished.home, "export", str(INT8), "--c-array", "--out", out, "--json")
    assert called.code == 0, called.err
    text = out.read_text()
    assert '#include "model_data.h"' in text
    assert "// Recipe: int8" in text
    assert "extern const unsigned char g_waves[];" in out.with_suffix(".h").read_text()
    inside = text.partition("[] = {")[2].partition("}")[0]
    record = call_lwdash(finished.home, "show", str(INT8), "--json").json
    assert len(inside.replace(",", " ").split()) == record["size_bytes"]
    wrong = call_lwdash(finished.home, "export", str(INT8), "--c-array", "--out", tmp_path / "m.h", "--json")
    assert wrong.code == 2
    assert "would be the header" in wrong.json["error"]


@pytest.mark.parametrize(
    ("found", "agrees"),
    [
        ({"accuracy": 0.91, "size_bytes": 1000}, [True, True]),
        ({"accuracy": 0.70, "size_bytes": 1005}, [True, False]),
        ({"accuracy": 0.95, "size_bytes": 1200}, [False, True]),
        ({"size_bytes": 1000}, [True, False]),
    ],
)
def test_figures_agree_within_their_tolerance(found, agrees):
    stated = {
        "accuracy": 0.9,
        "accuracy_ci": [0.8, 0.96],
        "size_bytes": 1000,
        "latency_ms_p50": 1.0,
        "sparsity": "x",
    }
    entries = compare_metrics(stated, found)
    assert [e["figure"] for e in entries] == ["size_bytes", "accuracy"]
    assert [e["agrees"] for e in entries] == agrees
    assert [e["within"] for e in entries] == ["± 1 %", "0.8000 to 0.9600"]


def test_only_other_versions_are_told():
    then = ("tensorflow 2.20", "keras 3.1", "old 1")
    assert compare_libraries(then, ("tensorflow 2.21", "keras 3.1", "new 2")) == [
        {"name": "new", "capsule": None, "here": "2"},
        {"name": "old", "capsule": "1", "here": None},
        {"name": "tensorflow", "capsule": "2.20", "here": "2.21"},
    ]
    assert compare_libraries((), then) == []


def test_the_report_of_a_file_that_differs_says_what():
    report = {
        "capsule": "a.zip", "recipe": "int8", "state": "succeeded", "error": None, "reproduced": False,
        "bytes_equal": False, "baseline_equal": True,
        "libraries": [{"name": "keras", "capsule": "3.1", "here": "3.2"}],
        "differences": {"operators": None, "others": 2,
                        "tensors": [{"name": "dense/kernel", "difference": "3 of 90 values, by 1 at most"}]},
        "figures": [{"figure": "accuracy", "expected": 0.9, "found": 0.5, "within": "0.8 to 0.96", "agrees": False}],
    }  # fmt: skip
    assert lines(report) == [
        "a.zip: int8",
        "another version: keras 3.2, the capsule's was made with 3.1",
        "float baseline: the same bytes",
        "model.tflite: other bytes",
        "  dense/kernel: 3 of 90 values, by 1 at most",
        "  and 2 more tensors",
        "accuracy: 0.5, the capsule says 0.9 (within 0.8 to 0.96): DIFFERS",
        "not reproduced",
    ]
    failed = {**report, "state": "failed", "error": "no layer is named 'x'"}
    assert lines(failed)[-1] == "the run failed: no layer is named 'x'"


def client(tmp_path: Path) -> TestClient:
    def refuse(run_id: str, request: Request) -> Download:
        raise SignInNeeded if run_id == "1" else NotFound(f"there is no run {run_id}")

    def text(run_id: str, request: Request) -> Download:
        return Download("beats.cc", "text/plain; charset=utf-8", iter(["one, ", "two"]))

    def whole(run_id: str, request: Request) -> Download:
        path = tmp_path / "made.zip"
        path.write_bytes(b"PK" * 300_000)
        opened = path.open("rb")
        path.unlink()
        return Download(f"files-{request.query_params.get('files')}.zip", "application/zip", opened, 600_000)

    listed = takeaway_routes({"h": refuse, "cc": text, "tables.zip": text, "zip": whole}, "/tools/")
    return TestClient(Starlette(routes=listed))


def test_downloads_are_streamed_with_their_names(tmp_path: Path) -> None:
    with client(tmp_path) as visitor:
        source = visitor.get("/tools/download/run/7.cc")
        assert (source.status_code, source.text) == (200, "one, two")
        assert source.headers["content-disposition"] == 'attachment; filename="beats.cc"'
        capsule = visitor.get("/tools/download/run/7.zip?files=1")
        assert capsule.content == b"PK" * 300_000
        assert capsule.headers["content-length"] == "600000"
        assert "files-1.zip" in capsule.headers["content-disposition"]
        assert capsule.headers["x-content-type-options"] == "nosniff"
        assert visitor.get("/tools/download/run/7.tables.zip").text == "one, two"
        assert visitor.get("/tools/download/run/9.h").json() == {"error": "there is no run 9"}
        assert visitor.get("/tools/download/run/9.h").status_code == 404
        assert visitor.get("/tools/download/run/1.h").status_code == 401
        assert visitor.post("/tools/download/run/7.cc").status_code == 405
