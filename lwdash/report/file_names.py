"""Names of downloaded files."""

import re

STORAGE_SUFFIXES = {"sparse": ".sparse.tflite", "lut": ".lut.tflite", "coded": ".coded.zip"}
"""Last step of a recipe → how the name of its file in that storage form ends."""


def file_name(experiment: str, recipe: str, run_id: int) -> str:
    """Name of the file that LiteRT runs: `ecg_cnn-prune-0.8-int8-run12.tflite`, or `….sparse.tflite`.

    What is inside, in letters every file system takes.
    """
    steps, form = _parted(recipe)
    return _stem(experiment, steps, run_id) + (STORAGE_SUFFIXES["sparse"] if form == "sparse" else ".tflite")


def stored_file_name(experiment: str, recipe: str, run_id: int) -> str:
    """Name of the file in the storage form that the recipe ends in: `ecg_cnn-cluster-16-int8-run12.lut.tflite`."""
    steps, form = _parted(recipe)
    return _stem(experiment, steps, run_id) + STORAGE_SUFFIXES[form]


def _parted(recipe: str) -> tuple[str, str]:
    """A recipe without its storage step, and that step's name; empty where it has none."""
    steps, _, last = recipe.rpartition(" + ")
    name = last.partition("(")[0].strip()
    return (steps, name) if name in STORAGE_SUFFIXES else (recipe, "")


def _stem(experiment: str, recipe: str, run_id: int) -> str:
    plain = re.sub(r"\b\w+=", "", recipe)
    parts = [re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-._") for part in (experiment, plain)]
    return ("-".join(part for part in parts if part)[:120] or "model") + f"-run{run_id}"


def experiment_file_name(experiment: str) -> str:
    """Prefix for files about a whole experiment, in characters that every file system allows."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", experiment).strip("-._")[:80] or "experiment"


def c_file_name(experiment: str, run_id: int, suffix: str) -> str:
    """`ecg_cnn_run12.cc`: characters that every #include allows."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", experiment).strip("_").lower()[:60] or "model"
    return f"{plain}_run{run_id}{suffix}"
