"""Training in a child of its own that sees a GPU: real engine, real children, a fake nvidia-smi and no GPU.

The children print the variables that they see. Where a test needs a GPU that works, the child's one question to TensorFlow
is answered by the test; the training then runs on the CPU.
"""

import re
from pathlib import Path

import pytest
from conftest import poll
from support.engine_site import ENDED, Site

from lwdash.engine import child_process, gpu_training, gpus
from lwdash.metrics.hosts import training_device
from storage import run_rows

pytestmark = [pytest.mark.tensorflow, pytest.mark.processes]

RECIPE, OTHER = "prune(sparsity=0.6, epochs=1) + int8", "prune(sparsity=0.4, epochs=1)"
CHILD = """
import os, sys
names = ("CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH", "CUDA_DEVICE_ORDER")
print("sees", sys.argv[1], *(os.environ.get(name, "unset") for name in names), flush=True)
if sys.argv[1] == "train":
    import lwdash.training.gpu_device as gpu_device
    import lwdash.compress.keras_stages as keras_stages
    {at_start}
from lwdash.child.__main__ import main
main()
"""
WORKS = 'gpu_device.gpu_name = lambda: "Fake GPU"'
FAILS = """
    from pathlib import Path
    gpu_device.gpu_name = lambda: "Fake GPU"
    if Path("{mark}").exists():
        os.abort()
    Path("{mark}").touch()
    def predict(*args):
        import tensorflow as tf
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    keras_stages.predict = predict"""


@pytest.fixture
def gpu_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """gpu_host(at_start) makes this a host with one GPU, whose children run this line when they train."""
    folder = tmp_path / "driver"
    folder.mkdir()
    (folder / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: Tesla T4 (UUID: GPU-2222bbbb)'\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "_known", {})
    monkeypatch.setattr(gpu_training, "_unusable", {})

    def make(at_start: str) -> None:
        (folder / "child.py").write_text(CHILD.format(at_start=at_start))
        monkeypatch.setattr(child_process, "PROGRAM", (str(folder / "child.py"),))

    return make


def done(site: Site, *recipes: str, **changed: object) -> list[int]:
    """Runs of these recipes at their end, all of which succeeded."""
    site.start(**changed)
    ids = site.submit(*recipes)
    poll("the end of the runs", lambda: all(state in ENDED for state in site.states(ids)), 120)
    assert [site.row(run_id).error for run_id in ids] == [None] * len(ids)
    return ids


def log_of(site: Site, run_id: int) -> str:
    return (site.settings.logs / f"run-{run_id}.log").read_text()


def test_only_the_training_sees_the_gpu_and_the_run_names_it(site: Site, gpu_host) -> None:
    gpu_host(WORKS)
    [run_id] = done(site, RECIPE)
    seen = dict(line.split(" ", 2)[1:] for line in re.findall(r"^sees .*", log_of(site, run_id), re.M))
    assert seen["train"] == "GPU-2222bbbb true PCI_BUS_ID"
    assert {value for step, value in seen.items() if step != "train"} == {"-1 unset unset"}
    assert {"compress", "measure"} <= set(seen)
    assert "trained on Tesla T4 in " in log_of(site, run_id)
    stages = run_rows.get_detail(site.store.database, run_id).compressed["stages"]
    assert training_device(stages) == "GPU: Tesla T4"
    [trained] = [stage for stage in stages if stage["facts"].get("gpu")]
    assert trained["name"].startswith("prune(")
    assert not trained["cached"]
    assert trained["seconds"] > 0


def test_a_failure_of_the_gpu_goes_on_on_the_cpu_with_a_line_in_the_log(
    site: Site, gpu_host, tmp_path: Path
) -> None:
    """The first training runs out of memory, the second one crashes."""
    gpu_host(FAILS.format(mark=str(tmp_path / "mark")))
    ids = done(site, RECIPE, OTHER, slots=1)
    logs = "".join(log_of(site, run_id) for run_id in ids)
    for reason in (
        "an unexpected error: ResourceExhaustedError: .*OOM when allocating tensor",
        "the process was ended by SIGABRT",
    ):
        assert re.search(f"training on Tesla T4 failed: {reason}.* continues on the CPU", logs), logs
    for run_id in ids:
        stages = run_rows.get_detail(site.store.database, run_id).compressed["stages"]
        assert training_device(stages) is None
        assert not next(stage for stage in stages if stage["name"].startswith("prune("))["cached"]


def test_a_gpu_without_libraries_is_tried_once_and_named(site: Site, gpu_host) -> None:
    """This machine's own TensorFlow, which finds no GPU."""
    gpu_host("pass")
    ids = done(site, RECIPE, OTHER, slots=1)
    assert sum("sees train" in log_of(site, run_id) for run_id in ids) == 1
    assert re.search(
        "training on Tesla T4 failed: TensorFlow finds no GPU: it needs the driver.* continues on the CPU",
        "".join(log_of(site, run_id) for run_id in ids),
    )
    assert gpu_training.gpu_state(site.settings).startswith("none: Tesla T4: TensorFlow finds no GPU")
