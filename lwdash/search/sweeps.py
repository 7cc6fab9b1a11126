"""First sets of recipes, by the goal of the user and the device that the file is for."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """A kind of device. is_integer_only: it runs integer files only. storage: the storage steps that it can read."""

    label: str
    help: str
    is_integer_only: bool
    storage: tuple[str, ...]


DEVICES: Mapping[str, Device] = {
    "any": Device("Not decided", "Formats of all devices", False, ("sparse", "coded")),
    "microcontroller": Device(
        "Microcontroller", "TensorFlow Lite Micro: integer files", True, ("lut", "coded")
    ),
    "phone": Device("Phone", "LiteRT on ARM: floats, and 4 and 8 bits", False, ("sparse", "coded")),
    "npu": Device("NPU", "Arm Ethos-U and similar: integer files", True, ("coded",)),
    "pc": Device("PC", "LiteRT on x86: floats, and 4 and 8 bits", False, ("sparse", "coded")),
}
"""Key in the address → device. Storage forms that a device cannot read may still be used for updates (coded)."""

SWEEP_GOALS: Mapping[str, str] = {
    "size": "Smallest file",
    "speed": "Fastest",
    "board": "Fits a board",
    "update": "Smallest update",
}
"""Key in the address → goal."""

PRUNED, CLUSTERED, FEW_BITS = "prune(sparsity=0.8)", "cluster(clusters=16)", "lowbit(bits=3)"


def sweep(goal: str, device: str) -> tuple[str, ...]:
    """Recipes to begin with, those that do not train first. goal: of `SWEEP_GOALS`; device: of `DEVICES`.

    Integer files only for devices without floats. Smaller networks (`channels`) are in every sweep, since they make a file
    smaller and faster. Pruning and clustering are used only with a storage form that benefits from them.
    """
    chosen = DEVICES[device]
    formats = ["int8"] if chosen.is_integer_only else ["float16", "dynamic", "int8", "dynamic(bits=4)"]
    if goal in ("size", "board") and chosen.is_integer_only:
        formats.append("int16x8")
    trained = ["channels(ratio=0.3) + int8", "channels(ratio=0.5) + int8"]
    if goal == "speed":
        return (
            *[text for text in formats if text != "dynamic(bits=4)"],
            *trained,
            "channels(ratio=0.7) + int8",
        )
    if goal == "update":
        return (
            *formats,
            trained[0],
            *(f"{step} + int8 + coded" for step in (PRUNED, CLUSTERED, FEW_BITS, f"{PRUNED} + {CLUSTERED}")),
        )
    if "sparse" in chosen.storage:
        trained.append(f"{PRUNED} + int8 + sparse")
    if "lut" in chosen.storage:
        trained.append(f"{CLUSTERED} + int8(per_channel=false) + lut")
    if goal == "board":
        trained.insert(2, "channels(ratio=0.7) + int8")
    return (*formats, *trained)


STANDARD_SWEEP = sweep("size", "any")
