"""Synthetic heartbeats: a second of an electrocardiogram as a sum of waves, with typical disturbances.

The idea is that of McSharry, Clifford, Tarassenko and Smith, "A dynamical model for generating synthetic
electrocardiogram signals", IEEE Transactions on Biomedical Engineering 50 (2003): each of the waves P, Q, R,
S and T is a Gaussian with a position, a height and a width around the R peak. Here they are summed in time
directly, one beat per row, with new random values for every beat. Heights and times are textbook values of a
lead like V5. It is made for trying compression, not for medicine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAMPLES = 500
SAMPLES_PER_SECOND = 500
RESOLUTION_MV = 0.01

# In sorted order, the order in which text labels become output indices.
CLASSES = ("Bundle branch block", "Normal", "Premature ventricular", "ST depression")
SHARES = (0.2, 0.4, 0.2, 0.2)


@dataclass(frozen=True)
class Wave:
    """One Gaussian: its centre in seconds after the R peak, its height in mV, its width (σ) in seconds."""

    centre: float
    height: float
    width: float


def _qrst(chance: np.random.Generator) -> dict[str, Wave]:
    """The waves of a healthy beat, with the variation between healthy people."""
    return {
        "P": Wave(chance.normal(-0.16, 0.015), chance.normal(0.13, 0.03), 0.022),
        "Q": Wave(-0.028, chance.normal(-0.10, 0.03), 0.009),
        "R": Wave(0.0, chance.normal(1.15, 0.15), chance.normal(0.0125, 0.001)),
        "S": Wave(0.030, chance.normal(-0.22, 0.06), 0.011),
        "ST": Wave(0.11, chance.normal(0.0, 0.025), 0.035),
        "T": Wave(chance.normal(0.25, 0.012), chance.normal(0.28, 0.06), chance.normal(0.045, 0.004)),
    }


def _bundle_branch_block(chance: np.random.Generator) -> dict[str, Wave]:
    """One ventricle late: a second R peak, a wide QRS, a T wave that inverts as the block becomes complete."""
    waves = _qrst(chance)
    completeness = chance.uniform(0.25, 1.0)
    first, delay = waves["R"], 0.024 + 0.026 * completeness
    waves["R"] = Wave(
        -0.4 * delay, first.height * (1 - 0.25 * completeness), first.width * (1 + 0.4 * completeness)
    )
    waves["R'"] = Wave(
        0.6 * delay, first.height * (0.25 + 0.55 * completeness), first.width * (1.1 + 0.6 * completeness)
    )
    waves["S"] = Wave(0.030 + delay, waves["S"].height * (1 - 0.7 * completeness), 0.014)
    waves["T"] = Wave(waves["T"].centre + 0.02, waves["T"].height * (1 - 1.5 * completeness), 0.05)
    return waves


def _premature_ventricular(chance: np.random.Generator) -> dict[str, Wave]:
    """A beat that starts in a ventricle: no P wave before it, a wide and high QRS, a deep T wave of the other
    sign.

    Some are fusion beats: the normal impulse arrives at the same time, the P wave is present and the shape is
    in between.
    """
    waves = _qrst(chance)
    ectopy = chance.uniform(0.45, 1.0)
    height = chance.normal(1.45, 0.25)
    waves["P"] = Wave(waves["P"].centre, waves["P"].height * max(0.0, 1.6 * (1 - ectopy)), 0.022)
    waves["Q"] = Wave(-0.05, -0.15 * chance.random(), 0.018)
    waves["R"] = Wave(0.0, 1.15 + (height - 1.15) * ectopy, 0.0125 + chance.normal(0.024, 0.004) * ectopy)
    waves["S"] = Wave(0.085, chance.normal(-0.30, 0.08) * ectopy, 0.026)
    waves["T"] = Wave(0.27, 0.28 + (chance.normal(-0.45, 0.08) - 0.28) * ectopy, 0.055)
    return waves


def _st_depression(chance: np.random.Generator) -> dict[str, Wave]:
    """Too little blood for the heart muscle: the part between S and T sinks by 0.05–0.25 mV, T flattens.

    0.1 mV is the usual threshold of a clinical finding, so mild ones are difficult to distinguish from a
    healthy beat.
    """
    waves = _qrst(chance)
    depth = chance.uniform(0.05, 0.25)
    waves["ST"] = Wave(0.11, waves["ST"].height - depth, chance.normal(0.042, 0.004))
    waves["T"] = Wave(waves["T"].centre, waves["T"].height * (1 - 1.6 * depth), waves["T"].width)
    return waves


_WAVES_OF = {
    "Bundle branch block": _bundle_branch_block,
    "Normal": _qrst,
    "Premature ventricular": _premature_ventricular,
    "ST depression": _st_depression,
}


def _disturbance(time: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Breathing (baseline wander), mains hum and muscle noise, in mV; `time` in seconds."""
    wander = chance.uniform(0.0, 0.12) * np.sin(
        2 * np.pi * (chance.uniform(0.15, 0.5) * time + chance.random())
    )
    hum = chance.uniform(0.0, 0.015) * np.sin(2 * np.pi * (50 * time + chance.random()))
    muscle = chance.normal(0.0, chance.uniform(0.01, 0.045), time.size)
    return wander + hum + muscle


def beat(kind: str, chance: np.random.Generator) -> np.ndarray:
    """One heartbeat of a kind in CLASSES: (500,) in mV, one second, the R peak near 0.4 s.

    The recording's gain, the heart rate (all times except the QRS scale with it) and the position of R vary
    by beat.
    """
    waves = _WAVES_OF[kind](chance)
    time = np.arange(SAMPLES) / SAMPLES_PER_SECOND - 0.4 - chance.normal(0.0, 0.012)
    pace = chance.normal(1.0, 0.07)
    clean = np.zeros(SAMPLES)
    for name, wave in waves.items():
        stretch = pace if name in ("P", "T") else 1.0
        clean += wave.height * np.exp(-0.5 * ((time - stretch * wave.centre) / wave.width) ** 2)
    return chance.lognormal(0.0, 0.12) * clean + _disturbance(time, chance)


def heartbeats(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`rows` heartbeats: float32 (rows, 500) in mV, in steps of 0.01 mV, and their text labels."""
    chance = np.random.default_rng(seed)
    labels = chance.choice(CLASSES, size=rows, p=SHARES)
    beats = np.stack([beat(str(kind), chance) for kind in labels])
    return (np.round(beats / RESOLUTION_MV) * RESOLUTION_MV).astype(np.float32), labels
