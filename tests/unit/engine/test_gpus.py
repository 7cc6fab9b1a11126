"""The GPUs that trainings may use: a fake nvidia-smi, a copy of the driver's files, and locks between processes."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import poll

from lwdash.engine import gpus
from lwdash.engine.gpus import Gpu, gpus_of_host, one_gpu, variables_for

TWO = """GPU 0: NVIDIA GeForce RTX 3090 (UUID: GPU-1111aaaa-d268-c3f3-1b07-005d5ae1dc3f)
GPU 1: Tesla T4 (UUID: GPU-2222bbbb-d268-c3f3-1b07-005d5ae1dc3f)
"""
MIG = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-3333cccc-d268-c3f3-1b07-005d5ae1dc3f)
  MIG 3g.20gb     Device  0: (UUID: MIG-aaaa)
  MIG 1g.5gb      Device  1: (UUID: MIG-bbbb)
"""


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """smi(text) puts an nvidia-smi with this body on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "DRIVER_FILES", tmp_path / "gpus")
    monkeypatch.setattr(gpus, "_known", {})

    def put(body: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f'#!/bin/sh\n[ "$1" = -L ] || exit 9\n{body}\n')
        program.chmod(0o755)

    return put


def listing(text: str) -> str:
    return f"cat <<'END'\n{text}END"


def names(setting: str) -> list[str]:
    return [gpu.name for gpu in gpus_of_host(setting).usable]


def test_auto_uses_all_gpus_by_their_uuid(smi) -> None:
    smi(listing(TWO))
    found = gpus_of_host("auto")
    assert [gpu.name for gpu in found.usable] == ["NVIDIA GeForce RTX 3090", "Tesla T4"]
    assert found.problem is None
    assert variables_for(found.usable[1])["CUDA_VISIBLE_DEVICES"].startswith("GPU-2222bbbb")


def test_off_asks_no_program(smi, tmp_path: Path) -> None:
    smi(f"touch {tmp_path}/asked")
    assert gpus_of_host("off").usable == ()
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(
    ("setting", "expected", "problem"),
    [
        ("1", ["Tesla T4"], None),
        ("1,0", ["Tesla T4", "NVIDIA GeForce RTX 3090"], None),
        ("GPU-2222", ["Tesla T4"], None),
        ("0,0", ["NVIDIA GeForce RTX 3090"], None),
        ("0,7", ["NVIDIA GeForce RTX 3090"], "not on this host: GPU 7. It has 0 (GPU-1111aaaa"),
    ],
)
def test_a_list_chooses_by_number_or_uuid_and_names_what_is_missing(smi, setting, expected, problem) -> None:
    smi(listing(TWO))
    found = gpus_of_host(setting)
    assert [gpu.name for gpu in found.usable] == expected
    assert (found.problem or "").startswith(problem or "")
    assert bool(found.problem) == bool(problem)


@pytest.mark.parametrize(
    ("inherited", "expected"), [("1", ["Tesla T4"]), ("-1", []), ("", []), ("NoDevFiles", [])]
)
def test_auto_keeps_to_the_gpus_that_a_batch_system_gave(smi, monkeypatch, inherited, expected) -> None:
    smi(listing(TWO))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
    assert names("auto") == expected
    assert names("0") == ["NVIDIA GeForce RTX 3090"]


def test_the_parts_of_a_divided_gpu_are_used_instead_of_it(smi) -> None:
    smi(listing(MIG))
    assert names("auto") == ["NVIDIA A100-SXM4-40GB MIG 3g.20gb", "NVIDIA A100-SXM4-40GB MIG 1g.5gb"]
    assert [gpu.visible_as for gpu in gpus_of_host("MIG-bbbb").usable] == ["MIG-bbbb"]


def test_a_driver_that_fails_or_hangs_is_named(smi, monkeypatch) -> None:
    smi("echo 'NVIDIA-SMI has failed because it could not talk to the driver.'; exit 9")
    assert gpus_of_host("auto") == gpus.GpusFound(
        (), "nvidia-smi failed: NVIDIA-SMI has failed because it could not talk to the driver."
    )
    monkeypatch.setattr(gpus, "_known", {})
    monkeypatch.setattr(gpus, "REPLY_SECONDS", 0.3)
    smi("exec sleep 60")
    started = time.monotonic()
    assert gpus_of_host("auto").problem == "nvidia-smi did not reply within 0.3 s"
    assert time.monotonic() - started < 10


def test_without_nvidia_smi_the_drivers_files_are_read(smi, tmp_path: Path) -> None:
    for bus, uuid in (("0000:65:00.0", "GPU-????????-????"), ("0000:17:00.0", "GPU-4444dddd-d268")):
        folder = tmp_path / "gpus" / bus
        folder.mkdir(parents=True)
        (folder / "information").write_text(
            f"Model: \t\t Quadro RTX 4000\nIRQ:   \t\t 40\nGPU UUID: \t {uuid}\nDevice Minor: \t 0\n"
        )
    assert gpus_of_host("auto").usable == (
        Gpu(0, "GPU-4444dddd-d268", "Quadro RTX 4000"),
        Gpu(1, "1", "Quadro RTX 4000"),
    )


def test_a_host_without_gpus_has_none_and_a_stated_one_is_tried(smi) -> None:
    assert gpus_of_host("auto") == gpus.GpusFound((), None)
    assert names("0") == ["GPU 0"]


HOLDER = """
import sys, tempfile, time
from lwdash.engine import gpus
tempfile.tempdir = sys.argv[1]
with gpus.one_gpu([gpus.Gpu(0, "GPU-1", "first")], gives_up=lambda: False) as gpu:
    print(gpu.name, flush=True)
    time.sleep(60)
"""


def test_a_gpu_serves_one_training_at_a_time_between_processes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "first\n"
    first, second = Gpu(0, "GPU-1", "first"), Gpu(1, "GPU-2", "second")
    with one_gpu([first, second], gives_up=lambda: False) as gpu:
        assert gpu == second
    waits: list[None] = []
    with one_gpu([first], gives_up=lambda: len(waits) > 1, waits=lambda: waits.append(None)) as gpu:
        assert gpu is None
    holder.kill()  # the kernel releases the lock of a process that dies
    holder.communicate()
    with one_gpu([first], gives_up=lambda: False) as gpu:
        assert gpu == first


def test_the_lock_is_free_after_its_block(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    for _ in range(2):
        with one_gpu([Gpu(0, "MIG-a/b", "x")], gives_up=lambda: False) as gpu:
            assert gpu is not None
    poll(
        "one lock file", lambda: [path.name for path in tmp_path.iterdir()] == ["lwdash-gpu-MIG-a-b.lock"], 1
    )


def test_a_gpu_whose_lock_cannot_be_opened_is_left_to_others(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "lwdash-gpu-GPU-1.lock").symlink_to(
        tmp_path / "elsewhere"
    )  # refused for a link, as without permission
    first, second = Gpu(0, "GPU-1", "first"), Gpu(1, "GPU-2", "second")
    with one_gpu([first, second], gives_up=lambda: False) as gpu:
        assert gpu == second
    with one_gpu([first], gives_up=lambda: False) as gpu:
        assert gpu is None
