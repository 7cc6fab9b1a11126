"""Makes the .tflite of this capsule again: python rebuild.py MODEL DATA.csv [--evaluation CSV] [--calibration CSV]

Needs lwdash. The model is loaded in this process: run it only on a model that you trust. Lambda layers and other code
in a model file are refused before anything of it is loaded.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class FolderCache:
    """Where the stages of one rebuild are kept: lwdash looks some of them up again."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.facts: dict[str, Any] = {}

    def get(self, key: str) -> tuple[Path, Any] | None:
        return (self.folder / key, self.facts[key]) if key in self.facts else None

    def put(self, key: str, kind: str, data: Any, facts: Any, seconds: float) -> None:
        content = data.read_bytes() if isinstance(data, Path) else data
        (self.folder / key).write_bytes(content)
        self.facts[key] = dict(facts)

    def making(self, key: str) -> AbstractContextManager[None]:
        return nullcontext()


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the .tflite of this capsule again.")
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--evaluation", type=Path, help="the CSV of the evaluation rows, where they have their own"
    )
    parser.add_argument(
        "--calibration", type=Path, help="the CSV of the calibration rows, where they have their own"
    )
    parser.add_argument("--out", type=Path, default=Path("rebuilt.tflite"))
    options = parser.parse_args()
    capsule = json.loads((HERE / "capsule.json").read_text(encoding="utf-8"))
    own = {"evaluation": options.evaluation, "calibration": options.calibration}
    for path, origin in (
        (options.model, capsule["model"]),
        (options.data, capsule["data"]),
        *((own[part], origin) for part, origin in capsule["parts"].items()),
    ):
        if path is None:
            sys.exit(f"this capsule needs {origin['name']} as well; give it as --evaluation or --calibration")
        if sha256(path.read_bytes()) != origin["sha256"]:
            sys.exit(f"{path} is not {origin['name']}: its SHA-256 is another than the capsule's")
    made = rebuild(capsule, options.model, options.data, own)
    options.out.write_bytes(made)
    is_same = sha256(made) == capsule["tflite"]["sha256"]
    print(
        f"{options.out}: {len(made):,} bytes, {'the same' if is_same else 'NOT the same'} as the capsule's model.tflite"
    )
    return 0 if is_same else 1


def rebuild(capsule: dict[str, Any], model: Path, data: Path, own: dict[str, Path | None]) -> bytes:
    """The .tflite that the recipe makes of these files, with the capsule's settings and seed."""
    from lwdash.compress.workbench import Workbench
    from lwdash.datasets.data_settings import DataSettings
    from lwdash.datasets.prepare import prepare
    from lwdash.keras_models.inspection import inspect_model
    from lwdash.recipe import parse_recipe

    facts = inspect_model(model)
    inputs, outputs = facts.ports
    rows = prepare(
        data,
        DataSettings.from_dict(capsule["settings"]),
        inputs,
        outputs,
        task=facts.task,
        labelled_task=facts.labelled_task,
        evaluation_path=own["evaluation"],
        calibration_path=own["calibration"],
    )
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(
            model_path=model,
            model_sha256=capsule["model"]["sha256"],
            facts=facts,
            dataset=rows,
            dataset_key=capsule["data"]["sha256"],
            task=capsule["task"],
            seed=capsule["seed"],
            cache=FolderCache(Path(folder)),
        )
        return bench.compress(parse_recipe(capsule["recipe"]), lambda doing, share: print(doing)).tflite


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
