"""Inspection: the scan and the facts of a model file, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

from lwdash.errors import ModelRefused
from lwdash.keras_models.custom_code.running import CustomCode
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.model_file import ModelFile, detect_format, read_model_file
from lwdash.keras_models.model_task import loss_name
from lwdash.keras_models.network import Network, read_network
from lwdash.keras_models.network_facts import network_facts
from lwdash.keras_models.saved_model.archive import inspect_saved_model
from lwdash.keras_models.scan.config_scan import scan_model_config
from lwdash.keras_models.weight_counts import (
    archive_statistics,
    count_archive,
    count_legacy,
    legacy_statistics,
)


def inspect_model(path: Path, code: CustomCode | None = None) -> ModelFacts:
    """Facts about the model in `path` (.keras, .h5 or zipped SavedModel, detected by its bytes), after a
    scan.

    code: what the user's code file defines; without it, a model with custom code is refused.
    Raises ModelRefused, with the layer and the cause, for a file that cannot be used or must not be loaded.
    Reads shapes, not weights: well under 2 s for 100 MB.
    """
    format = detect_format(path)
    if format == "savedmodel":
        return inspect_saved_model(path)
    file = read_model_file(path, format)
    scan_model_config(file.config, code)
    library = library_of(file.keras_version)
    network = read_network(file.config)
    if not network.nodes:
        raise ModelRefused(f"the model '{network.name}' has no layers")
    return describe(file, library, network)


def writing_library(path: Path) -> str | None:
    """The library that has to run the code file of the model in `path`; None for a model that is loaded without code.

    A SavedModel holds its computation. Raises ModelRefused.
    """
    format = detect_format(path)
    return None if format == "savedmodel" else library_of(read_model_file(path, format).keras_version)


def library_of(keras_version: str) -> str:
    """The library that wrote a file of this version and has to load it: "keras" from 3 on, "tf_keras" before."""
    return "keras" if int(keras_version.split(".")[0]) >= 3 else "tf_keras"


def describe(file: ModelFile, library: str, network: Network) -> ModelFacts:
    """ModelFacts of a file whose config and weights have been read."""
    is_archive = file.format == "keras"
    counts = (count_archive if is_archive else count_legacy)(network, file.sizes)
    statistics = (archive_statistics if is_archive else legacy_statistics)(network, file.values)
    return network_facts(
        network,
        counts,
        format=file.format,
        keras_version=file.keras_version,
        library=library,
        loss=loss_name(file.compile_config, [ref.layer for ref in network.outputs]),
        stored=sum(file.sizes.values()),
        statistics=statistics,
    )
