"""Makes the .tflite of this capsule again: python rebuild.py MODEL DATA [--evaluation FILE] [--calibration
FILE] [--code FILE.py]

Needs lwdash. The model is loaded in this process: run it only on a model that you trust. Lambda layers and
other code in a model file are refused before loading, unless the capsule names a code file and you give it.
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
    """Storage for the stages of one rebuild: lwdash reads some of them again."""

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
        "--evaluation", type=Path, help="the file of the evaluation rows, if they have a separate one"
    )
    parser.add_argument(
        "--calibration", type=Path, help="the file of the calibration rows, if they have a separate one"
    )
    parser.add_argument("--code", type=Path, help="the Python file that the model needs; it is run")
    parser.add_argument("--out", type=Path, default=Path("rebuilt.tflite"))
    options = parser.parse_args()
    capsule = json.loads((HERE / "capsule.json").read_text(encoding="utf-8"))
    own = {"evaluation": options.evaluation, "calibration": options.calibration, "code": options.code}
    code = {"code": capsule["code"]} if capsule.get("code") else {}
    for path, origin in (
        (options.model, capsule["model"]),
        (options.data, capsule["data"]),
        *((own[role], origin) for role, origin in {**capsule["parts"], **code}.items()),
    ):
        if path is None:
            sys.exit(
                f"this capsule also needs {origin['name']}. Give it as --evaluation, --calibration or --code"
            )
        if sha256(path.read_bytes()) != origin["sha256"]:
            sys.exit(f"{path} is not {origin['name']}: its SHA-256 differs from the capsule's")
    if not code:
        own["code"] = None
    made = rebuild(capsule, options.model, options.data, own)
    options.out.write_bytes(made)
    is_same = sha256(made) == capsule["tflite"]["sha256"]
    print(
        f"{options.out}: {len(made):,} bytes, {'the same' if is_same else 'NOT the same'} as the capsule's model.tflite"
    )
    return 0 if is_same else 1


def rebuild(capsule: dict[str, Any], model: Path, data: Path, own: dict[str, Path | None]) -> bytes:
    """The .tflite from the recipe and these files, with the capsule's settings and seed."""
    from lwdash.compress.workbench import Workbench
    from lwdash.datasets.data_settings import DataSettings
    from lwdash.datasets.prepare import prepare
    from lwdash.keras_models.custom_code.code_file import CodeFile
    from lwdash.keras_models.custom_code.live_facts import inspect_with_code
    from lwdash.keras_models.inspection import inspect_model
    from lwdash.recipe import parse_recipe

    code = (
        None
        if own["code"] is None
        else CodeFile(own["code"], capsule["code"]["name"], capsule["code"]["sha256"])
    )
    facts = inspect_model(model) if code is None else inspect_with_code(model, code)
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
            code=code,
        )
        return bench.compress(parse_recipe(capsule["recipe"]), lambda doing, share: print(doing)).tflite


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
