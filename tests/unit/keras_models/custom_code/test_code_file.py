"""A code file is read as text first: what is not Python is refused with its line before anything runs."""

from pathlib import Path
from typing import Any

import pytest

from lwdash.errors import ModelRefused
from lwdash.keras_models.custom_code.code_file import MAX_CODE_BYTES, CodeFile, read_code
from lwdash.keras_models.scan.config_scan import scan_model_config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"import keras\nclass Gate(\n", "layers.py, line 2 is not Python"),
        (b"\x80\x02pickle", "not a Python file in UTF-8"),
        (b"#" * (MAX_CODE_BYTES + 1), "at most 1,048,576"),
    ],
)
def test_what_is_no_code_is_refused_with_its_place(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "stored"
    path.write_bytes(content)
    with pytest.raises(ModelRefused, match=message):
        read_code(CodeFile(path, "layers.py"))


class Names:
    """A code file that defines one class."""

    name, listed = "layers.py", "Gate"

    def finds(self, name: Any) -> bool:
        return name in ("Gate", "mine>Gate")


def model_of(entry: dict[str, Any]) -> dict[str, Any]:
    layer = {"config": {"name": "odd", **entry.pop("config", {})}, "name": "odd", **entry}
    return {"class_name": "Functional", "module": "keras", "config": {"layers": [layer]}}


GATE = {"class_name": "Gate", "module": "layers", "registered_name": "mine>Gate"}
LAMBDA = {
    "class_name": "Lambda",
    "module": "keras.layers",
    "config": {"function": {"class_name": "__lambda__"}},
}
ACTIVATION = {"class_name": "Dense", "module": "keras.layers", "config": {"activation": "Gate"}}
KINDS = pytest.mark.parametrize("entry", [GATE, LAMBDA, ACTIVATION], ids=["custom", "Lambda", "activation"])


@KINDS
def test_without_consent_custom_code_is_refused_with_the_way_out(entry: dict[str, Any]) -> None:
    with pytest.raises(ModelRefused, match=r"'odd'.*--code FILE\.py"):
        scan_model_config(model_of(dict(entry)))


@KINDS
def test_with_consent_what_the_file_defines_is_accepted(entry: dict[str, Any]) -> None:
    scan_model_config(model_of(dict(entry)), Names())


@pytest.mark.parametrize(
    "entry",
    [
        {"class_name": "Other", "module": "layers", "registered_name": "Other"},
        {"class_name": "Dense", "module": "keras.layers", "config": {"activation": "other"}},
    ],
)
def test_what_the_file_does_not_define_is_refused_with_what_it_does(entry: dict[str, Any]) -> None:
    with pytest.raises(ModelRefused, match=r"layers\.py does not define it \(it defines: Gate\)"):
        scan_model_config(model_of(entry), Names())


@pytest.mark.parametrize("class_name", ["TFSMLayer", "TorchModuleWrapper"])
def test_consent_does_not_cover_other_files(class_name: str) -> None:
    with pytest.raises(ModelRefused, match="is refused"):
        scan_model_config(model_of({"class_name": class_name, "module": "keras.layers"}), Names())
