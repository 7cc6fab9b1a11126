"""The networks of keras.applications get in, in both Kerases, and their files are as good as TFLiteConverter's."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lwdash.compress.agreement import MIN_SQNR_DB, check_export, predict
from lwdash.compress.quantizer_choice import pack
from lwdash.errors import ModelRefused, ResultRejected
from lwdash.export.keras_converter import convert_with
from lwdash.keras_models.bridge.twin import find_twin
from lwdash.keras_models.canonical.form import canonical_form
from lwdash.keras_models.inspection import inspect_model
from lwdash.keras_models.load import load_model
from lwdash.keras_models.scan.config_scan import scan_model_config
from lwdash.measure.accuracy import sqnr_db
from lwdash.measure.runner import Runner
from lwdash.techniques import TECHNIQUES, float32

pytestmark = pytest.mark.tensorflow

LIBRARIES = ["keras", "tf_keras"]
FAMILIES = {
    "ConvNeXtTiny": {},
    "DenseNet121": {},
    "EfficientNetB0": {},
    "EfficientNetV2B0": {},
    "InceptionResNetV2": {"input_shape": (75, 75, 3)},
    "InceptionV3": {"input_shape": (75, 75, 3)},
    "MobileNet": {"alpha": 0.25},
    "MobileNetV2": {"alpha": 0.35},
    "MobileNetV3Small": {"alpha": 0.75},
    "NASNetMobile": {},
    "RegNetX002": {},
    "RegNetY002": {},
    "ResNet50": {},
    "ResNet50V2": {},
    "ResNetRS50": {},
    "VGG16": {},
    "Xception": {"input_shape": (71, 71, 3)},
}
"""One network of each family, the smallest that there is."""
SMALL_INPUT = (48, 48, 3)
CLASSES = 10
NOISE_DB = 4.0
"""Difference of two SQNR on eight rows that says nothing: other roundings of one network differ by that much."""


def convnext(keras: ModuleType) -> Any:
    module = import_module(f"{keras.__name__}.src.applications.convnext")
    given = inspect.signature(module.ConvNeXt).parameters
    name = {"model_name" if "model_name" in given else "name": "convnext_small"}
    return module.ConvNeXt(
        [1, 1, 1, 1], [8, 8, 12, 16], drop_path_rate=0.1, default_size=32, layer_scale_init_value=0.5,
        weights=None, input_shape=(32, 32, 3), classes=CLASSES, **name,
    )  # fmt: skip


def scaled_sum(keras: ModuleType) -> Any:
    module = import_module(f"{keras.__name__}.src.applications.inception_resnet_v2")
    inputs = keras.Input((8, 8, 3))
    branch = keras.layers.Conv2D(3, 3, padding="same")(inputs)
    return keras.Model(inputs, module.CustomScaleLayer(0.2, name="sum")([inputs, branch]))


@pytest.mark.parametrize(
    ("library", "build", "suffix"),
    [
        ("keras", convnext, ".keras"),  # Keras 3 cannot read its own .h5 of this one
        ("tf_keras", convnext, ".keras"),
        ("tf_keras", convnext, ".h5"),
        *((library, scaled_sum, suffix) for library in LIBRARIES for suffix in (".keras", ".h5")),
    ],
)
def test_layers_that_the_networks_define_are_loaded_bridged_and_exported(
    library: str, build: Any, suffix: str, tmp_path: Path
) -> None:
    model = build(import_module(library))
    path = tmp_path / f"model{suffix}"
    model.save(str(path))
    facts = inspect_model(path)
    assert facts.parameters == model.count_params()
    rows = np.random.default_rng(0).normal(size=(4, *model.inputs[0].shape[1:])).astype("float32")
    loaded = canonical_form(load_model(path, facts)).model
    expected = predict(model, [rows])
    np.testing.assert_allclose(predict(loaded, [rows])[0], expected[0], atol=1e-5)
    twin = find_twin(loaded, [rows])
    assert twin.refusal is None
    data = float32.apply(loaded, ["input"], [rows.shape[1:]])
    check_export(expected, data, {"input": rows})


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"module": "my.convnext", "config": {"init_values": 1.0, "projection_dim": 3}}, "from the module 'my.convnext'"),
        ({"config": {"init_values": 1.0, "projection_dim": 3, "power": 2}}, "a custom layer or subclassed model"),
        ({"module": "keras.src.applications.resnet", "config": {}}, "not one of the allowed Keras objects"),
        (
            {"module": "keras.src.applications.convnext", "registered_name": "mine>LayerScale", "config": {}},
            "custom object",
        ),
    ],
)  # fmt: skip
def test_a_namesake_of_such_a_layer_is_refused(entry: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelRefused, match=reason):
        scan_model_config({"class_name": "LayerScale", **entry})


@pytest.fixture
def cleared() -> Iterator[None]:
    yield
    for library in LIBRARIES:
        import_module(library).backend.clear_session()


@pytest.mark.slow
@pytest.mark.usefixtures("cleared")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_network_of_each_family(library: str, family: str, tmp_path: Path) -> None:
    keras = import_module(library)
    if not hasattr(keras.applications, family):
        return  # Keras 3 has fewer families
    keras.utils.set_random_seed(5)
    arguments = {"input_shape": SMALL_INPUT, **FAMILIES[family]}
    model = getattr(keras.applications, family)(weights=None, classes=CLASSES, **arguments)
    path = tmp_path / "model.keras"
    model.save(str(path))
    facts = inspect_model(path)
    names, shapes = [facts.inputs[0].name], [arguments["input_shape"]]
    rows = np.random.default_rng(0).uniform(0, 255, (24, *arguments["input_shape"])).astype("float32")
    _awake(model, rows)
    model.save(str(path))
    some = {names[0]: rows[:8]}
    loaded = canonical_form(load_model(path, facts)).model
    source, _ = check_export(predict(model, [rows[:8]]), float32.apply(loaded, names, shapes), some)

    def convert(configure: Any, calibration: Any) -> bytes:
        return convert_with(loaded, names, shapes, configure=configure, rows=calibration)

    for name in ("dynamic", "int8"):
        technique = TECHNIQUES[name]
        params = technique.Params()
        theirs = technique.apply(source, technique.Params(backend="tflite"), {names[0]: rows}, convert)
        expected = next(iter(Runner(source).run(some).values()))
        reference = sqnr_db(expected, next(iter(Runner(theirs.data).run(some).values())))
        try:
            packed, sqnr = pack(
                technique,
                params,
                source,
                {names[0]: rows},
                compared=some,
                convert=convert,
                unroll=lambda: None,
            )
        except ResultRejected:
            assert reference is not None
            assert reference < MIN_SQNR_DB, "an untrained network may have no 8-bit file at all"
            continue
        assert len(packed.data) <= 1.05 * len(theirs.data), name
        assert sqnr is None or reference is None or sqnr > min(reference, 35.0) - NOISE_DB, (
            name,
            sqnr,
            reference,
        )


def _awake(model: Any, rows: np.ndarray) -> None:
    """Batch normalizations that normalize these rows, so that an untrained network's outputs depend on them."""
    norms = [layer for layer in model._flatten_layers() if type(layer).__name__ == "BatchNormalization"]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(rows, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
