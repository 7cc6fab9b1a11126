"""Names and addresses of the files that a user takes home."""

import re

import streamlit as st


def file_name(experiment: str, recipe: str, run_id: int) -> str:
    """`ecg_cnn-prune-0.8-int8-run12.tflite`: what is inside, in letters every file system takes."""
    plain = re.sub(r"\b\w+=", "", recipe)
    parts = [re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-._") for part in (experiment, plain)]
    return "-".join([p for p in parts if p][:2])[:120] + f"-run{run_id}.tflite"


def download_url(run_id: int) -> str:
    """The route that serves a run's .tflite, relative to the server's root."""
    base = st.get_option("server.baseUrlPath").strip("/")
    return f"{'/' + base if base else ''}/download/run/{run_id}.tflite"
