"""Addresses of downloads, of a run's page, of a shared experiment."""

from urllib.parse import urlencode

import streamlit as st

from lwdash.ui.shared.access import share_token


def download_url(run_id: int) -> str:
    """The route that serves a run's .tflite, relative to the server's root."""
    return _address(f"download/run/{run_id}.tflite")


def stored_url(run_id: int) -> str:
    """The route that serves a run's file in a storage form that LiteRT does not run."""
    return _address(f"download/run/{run_id}.stored")


def log_url(run_id: int) -> str:
    """The route that serves a run's whole log as text."""
    return _address(f"download/run/{run_id}.log")


def project_url(run_id: int) -> str:
    """The route that serves a run's project to flash."""
    return _address(f"download/run/{run_id}.project.zip")


def c_source_url(run_id: int) -> str:
    """The route that serves a run's file as a C array."""
    return _address(f"download/run/{run_id}.cc")


def c_header_url(run_id: int) -> str:
    """The route that serves the header of the C array."""
    return _address(f"download/run/{run_id}.h")


def json_url(run_id: int) -> str:
    """The route that serves all measurements of a run."""
    return _address(f"download/run/{run_id}.json")


def tables_url(run_id: int) -> str:
    """The route that serves the same as a zip of CSVs."""
    return _address(f"download/run/{run_id}.tables.zip")


def capsule_url(run_id: int, *, with_originals: bool = False) -> str:
    """The route that serves a run's capsule."""
    return _address(f"download/run/{run_id}.zip", **({"files": "1"} if with_originals else {}))


def run_url(run_id: int) -> str:
    """The page of a run, for links in tables."""
    return _address("run", run=str(run_id))


def share_url(experiment_id: int, token: str) -> str:
    """The read-only page of an experiment for users of its share link."""
    return _address("experiment", experiment=str(experiment_id), share=token)


def _address(path: str, **query: str) -> str:
    """The address below the server's root; a share link's token is added."""
    base = st.get_option("server.baseUrlPath").strip("/")
    if token := share_token():
        query = {"share": token, **query}
    return (f"/{base}" if base else "") + f"/{path}" + (f"?{urlencode(query)}" if query else "")
