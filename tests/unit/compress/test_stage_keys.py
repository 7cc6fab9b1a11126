"""Cache keys: those that are stored stay valid, and hold all that decides a stage."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from lwdash.compress import stage_keys
from lwdash.compress.stage_keys import StageKeys
from lwdash.recipe import parse_recipe

KEYS = StageKeys("model", [(8, 8, 1), (3,)], "rows", "classification", 7)
PRUNE, CLUSTER = parse_recipe("prune(sparsity=0.5) + cluster").keras_steps
INT8, DYNAMIC = (parse_recipe(name).tflite_step for name in ("int8", "dynamic"))


@pytest.fixture(autouse=True)
def _fixed_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_keys, "library_versions", lambda: ("lwdash 0.5.0", "tensorflow 2"))


def all_keys(keys: StageKeys) -> SimpleNamespace:
    return SimpleNamespace(
        model=keys.keras_model([PRUNE, CLUSTER]),
        outputs=keys.outputs(()),
        baseline=keys.float_file(()),
        treated=keys.float_file([PRUNE]),
        unrolled=keys.unrolled_file(()),
        calibrated=keys.quantized_file((), INT8, with_rows=True),
        dynamic=keys.quantized_file((), DYNAMIC, with_rows=False),
        pruned=keys.quantized_file([PRUNE], DYNAMIC, with_rows=False),
    )


def test_stored_keys_stay_valid() -> None:
    """Another value here throws away stored stages: then they are made again for each run.

    Those of pruned models changed with the parameter mean_sparsity in 0.8.0, whose version makes all stages again anyway.
    """
    assert vars(all_keys(KEYS)) == {
        "model": "2a354ea2e0950bd188e41d438d9461d34fbb16804a8824276b385fe91b6f5619",
        "outputs": "1b09440ba18153cd5c59038bc85fbb64b068c649e5a20eea5e7250e0a519f09d",
        "baseline": "d2688baf12974c31ad95ff3e8bdcc8bf60053ef9e53b6a4dd228bcdca4206049",
        "treated": "4c53cc86a2cae96c5214f34b06c5ed08227e3523b4a68bd7f50d913ee6e6a4b0",
        "unrolled": "95d2984aeb0422a8d58b29252ee83413e7f583fcf4c0e9b1290518b4e7a8993b",
        "calibrated": "0dad78e9a68a0d245b311362645711b852722adfff4a9d85c82002e67f260c0d",
        "dynamic": "945f5b5203e612086785e562dce19b5646ac25c0553c1575b3d2bc89f734703e",
        "pruned": "5addf0a359929aefa490b9f236b4784c82c0f9b8f16f6f8b15be65b6d93195c9",
    }


def test_stages_have_different_keys() -> None:
    keys = vars(all_keys(KEYS)).values()
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("change", [{"dataset_key": "others"}, {"task": "regression"}, {"seed": 8}])
def test_a_stage_without_rows_is_shared_by_data_sets(change: dict) -> None:
    before, after = vars(all_keys(KEYS)), vars(all_keys(replace(KEYS, **change)))
    shared = {name for name in before if before[name] == after[name]}
    assert shared == {"baseline", "unrolled", "dynamic"}


@pytest.mark.parametrize(
    "change", [{"model_sha256": "other"}, {"code_sha256": "code"}, {"input_shapes": [(9, 8, 1), (3,)]}]
)
def test_every_stage_depends_on_the_model_its_code_and_its_shapes(change: dict) -> None:
    before, after = vars(all_keys(KEYS)), vars(all_keys(replace(KEYS, **change)))
    assert not {name for name in before if before[name] == after[name]}
