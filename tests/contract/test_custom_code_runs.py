"""A model with custom code from its file to measured results, in child processes."""

import json
import socket
from pathlib import Path

import pytest
from support.custom_models import custom_model, rows, write_code

from lwdash.cli.main import main
from lwdash.engine.input_files import file_inspection
from lwdash.engine.input_files.file_inspection import InspectionLimits
from lwdash.engine.new_experiment import inspect_local_model
from lwdash.settings import load_settings
from storage.store import Store

pytestmark = [pytest.mark.tensorflow, pytest.mark.processes]

SPY = """
import os, socket
print("printed text must not disturb the link", flush=True)
try:
    input()
except EOFError:
    pass
found = [name for name in os.environ if "SECRET" in name]
try:
    socket.create_connection(("127.0.0.1", {port}), 5)
    found.append("the network")
except OSError:
    pass
raise ValueError("found " + (", ".join(found) or "nothing"))
"""


def refusal(home: Store, folder: Path, text: str) -> str:
    model, code = folder / "model.keras", folder / "layers.py"
    if not model.exists():
        custom_model(model, "keras")
    code.write_text(text)
    error = inspect_local_model(load_settings(), home, model, code).error
    assert error is not None
    return error


def test_the_code_sees_no_secret_and_no_network(
    home: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LWDASH_SECRET", "hunter2")
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert "ValueError: found nothing" in refusal(
            home, tmp_path, SPY.format(port=server.getsockname()[1])
        )


def test_code_that_ends_or_holds_up_its_process_is_reported_in_words(
    home: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = refusal(home, tmp_path, "import os\nos._exit(7)\n")
    assert ended == "layers.py could not be run: the process ended with exit code 7"
    monkeypatch.setattr(file_inspection, "CODE_LIMITS", InspectionLimits(seconds=1, memory_mb=4096))
    held = refusal(home, tmp_path, "while True:\n    pass\n")
    assert held.startswith("running layers.py and loading the model took longer than 1 s")


def test_recipes_run_from_the_command_line(
    home: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    custom_model(tmp_path / "model.keras", "keras")
    x, y = rows()
    np.savez(tmp_path / "data.npz", x=x, y=y)
    recipes = ["dynamic", "qat(epochs=1) + int8"]
    arguments = ["run", str(tmp_path / "model.keras"), "--data", str(tmp_path / "data.npz"), "--json"]
    arguments += [word for recipe in recipes for word in ("--recipe", recipe)]
    assert main(arguments) == 2
    assert "--code" in json.loads(capsys.readouterr().out)["error"]
    assert main([*arguments, "--code", str(write_code(tmp_path, "keras"))]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [run["state"] for run in runs] == ["succeeded"] * 2
    assert runs[1]["skipped"] == []
