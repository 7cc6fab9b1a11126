"""One file on the map of a run: its graph, its kernels, its measured operators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FileMap:
    """One file's graph (see `analyses.graph_data`), the histograms of its kernels, and its measured operators."""

    graph: Mapping[str, Any]
    kernels: Sequence[Mapping[str, Any]]
    rows: Sequence[Mapping[str, Any]]
