"""No hostile model file gets past inspection, none leaves a trace, and none is refused that is honest."""

from __future__ import annotations

import contextlib
import sys
import time
import zipfile
from pathlib import Path

import forge_config  # noqa: F401 - the modules enter their files into FORGERS
import forge_damage
import forge_hdf5  # noqa: F401
import forge_pickles  # noqa: F401
import forge_sizes  # noqa: F401
import forge_zip  # noqa: F401
import pytest
from forge import FORGERS, dense, h5_file, keras_file, sequential
from forge_saved_model import node, saved_model

from lwdash.errors import ModelRefused
from lwdash.keras_models.inspection import inspect_model
from lwdash.keras_models.load import load_model
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.saved_model.archive import unpack_saved_model

SECRET = b"SECRET-CONTENT-OF-A-LOCAL-FILE--"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "upload").mkdir()
    return tmp_path / "upload"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def test_there_are_enough_hostile_files() -> None:
    assert len(FORGERS) >= 25


@pytest.mark.parametrize("name", FORGERS)
def test_hostile_file_is_refused_with_its_cause(name: str, folder: Path, trace: Path) -> None:
    make, cause = FORGERS[name]
    path = make(folder, trace)
    before = set(folder.parent.rglob("*"))
    with pytest.raises(ModelRefused, match=cause):
        inspect_model(path)
    assert set(folder.parent.rglob("*")) == before
    assert not trace.exists()


@pytest.mark.parametrize("name", FORGERS)
def test_the_loader_refuses_too_before_any_library_sees_the_file(
    name: str, folder: Path, trace: Path
) -> None:
    path = FORGERS[name][0](folder, trace)
    honest = inspect_model(keras_file(folder / "honest.keras", sequential(dense())))
    loaded = {library for library in ("keras", "tf_keras", "tensorflow") if library in sys.modules}
    with pytest.raises(ModelRefused):
        load_model(path, honest)
    assert {library for library in ("keras", "tf_keras", "tensorflow") if library in sys.modules} == loaded
    assert not trace.exists()


@pytest.mark.tensorflow
def test_the_payloads_are_live(folder: Path, trace: Path) -> None:
    """A forgery that could do no harm would prove nothing: loaded without the scan, these leave their
    trace."""
    import pickle

    import tf_keras

    for name in ("lambda_in_h5", "lambda_inside_a_nested_model"):
        path = FORGERS[name][0](folder, trace)
        with contextlib.suppress(ValueError, TypeError, KeyError):
            tf_keras.models.load_model(str(path), compile=False, safe_mode=True)
        assert trace.exists(), name
        trace.unlink()
    pickle.loads(FORGERS["pickle_named_h5"][0](folder, trace).read_bytes()).close()
    assert trace.exists()


def test_a_secret_file_is_not_read(folder: Path, trace: Path) -> None:
    trace.write_bytes(SECRET)
    for name in ("vocabulary_path", "hdf5_external_storage", "hdf5_external_link", "hdf5_virtual_dataset"):
        with pytest.raises(ModelRefused) as refusal:
            inspect_model(FORGERS[name][0](folder, trace))
        assert SECRET.decode()[:8] not in str(refusal.value)


def test_the_honest_skeletons_of_the_forgeries_pass(folder: Path) -> None:
    files = [
        keras_file(folder / "a.keras", sequential(dense())),
        h5_file(folder / "b.h5", sequential(dense(), version=2)),
        saved_model(folder / "c.zip", (node("y", "Placeholder"),)),
    ]
    facts = [inspect_model(path) for path in files]
    assert [one.library for one in facts] == ["keras", "tf_keras", "none"]
    assert [one.parameters for one in facts] == [10, 10, 0]
    assert facts[0].outputs[0].shape == (2,)


def test_unpacking_writes_the_models_own_files_only(folder: Path, tmp_path: Path) -> None:
    path = saved_model(folder / "m.zip", (node("y", "Placeholder"),), members={"__MACOSX/model/x": b"1"})
    unpacked = unpack_saved_model(path, tmp_path / "out")
    assert sorted(file.name for file in unpacked.rglob("*") if file.is_file()) == [
        "saved_model.pb",
        "variables.index",
    ]


def test_a_file_swapped_after_inspection_is_noticed(folder: Path) -> None:
    path = keras_file(folder / "a.keras", sequential(dense()))
    facts = inspect_model(path)
    h5_file(path, sequential(dense(), version=2))
    with pytest.raises(ModelRefused, match="not the file that was inspected"):
        load_model(path, facts)


@pytest.mark.parametrize(
    "classes",
    [("Dropout",), ("Dropout", "Reshape"), ("TFOpLambda", "TFOpLambda"), ("Reshape", "Reshape", "Reshape")],
)
def test_layers_in_a_circle_end(classes: tuple[str, ...], folder: Path) -> None:
    facts = inspect_model(h5_file(folder / "m.h5", forge_damage.in_a_circle(*classes)))
    assert len(facts.layers) == len(classes) + 1


def test_a_long_chain_of_layers_is_read_in_linear_time(folder: Path) -> None:
    """Ten times the layers took a hundred times as long, and operations overflowed the stack."""
    for class_name in ("Dropout", "TFOpLambda"):
        chain = forge_damage.in_a_circle(*[class_name] * 4000)
        first = chain["config"]["layers"][1]
        first["inbound_nodes"] = first["inbound_nodes"][1:]
        started = time.process_time()
        facts = inspect_model(h5_file(folder / "m.h5", chain))
        assert facts.outputs[0].shape == (2,)
        assert time.process_time() - started < 3


def test_facts_of_a_forged_file_are_plain_data(folder: Path) -> None:
    facts = inspect_model(keras_file(folder / "a.keras", sequential(dense())))
    assert ModelFacts.from_dict(facts.to_dict()) == facts


def test_compressed_members_are_read_like_stored_ones(folder: Path) -> None:
    stored = keras_file(folder / "a.keras", sequential(dense()))
    deflated = folder / "b.keras"
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as sink:
        for member in source.namelist():
            sink.writestr(member, source.read(member))
    assert inspect_model(deflated) == inspect_model(stored)
