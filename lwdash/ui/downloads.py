"""Names and addresses: of the files that a user takes home, and of a run's page."""

import re

import streamlit as st


def file_name(experiment: str, recipe: str, run_id: int) -> str:
    """`ecg_cnn-prune-0.8-int8-run12.tflite`: what is inside, in letters every file system takes."""
    plain = re.sub(r"\b\w+=", "", recipe)
    parts = [re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-._") for part in (experiment, plain)]
    return ("-".join(part for part in parts if part)[:120] or "model") + f"-run{run_id}.tflite"


def download_url(run_id: int) -> str:
    """The route that serves a run's .tflite, relative to the server's root."""
    return f"{_root()}/download/run/{run_id}.tflite"


def run_url(run_id: int) -> str:
    """The page of a run, for links in tables."""
    return f"{_root()}/run?id={run_id}"


def _root() -> str:
    base = st.get_option("server.baseUrlPath").strip("/")
    return f"/{base}" if base else ""
