"""Names of the files that a user takes home."""

import re


def file_name(experiment: str, recipe: str, run_id: int) -> str:
    """`ecg_cnn-prune-0.8-int8-run12.tflite`: what is inside, in letters every file system takes."""
    plain = re.sub(r"\b\w+=", "", recipe)
    parts = [re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-._") for part in (experiment, plain)]
    return ("-".join(part for part in parts if part)[:120] or "model") + f"-run{run_id}.tflite"


def experiment_file_name(experiment: str) -> str:
    """The beginning of the names of files about a whole experiment, in letters every file system takes."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", experiment).strip("-._")[:80] or "experiment"


def c_file_name(experiment: str, run_id: int, suffix: str) -> str:
    """`ecg_cnn_run12.cc`: letters that an #include takes everywhere."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", experiment).strip("_").lower()[:60] or "model"
    return f"{plain}_run{run_id}{suffix}"
