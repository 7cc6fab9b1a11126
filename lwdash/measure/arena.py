"""The RAM for activations: TensorFlow Lite Micro's greedy plan, computed from the file alone.

This is the arena's head in TensorFlow Lite Micro's RecordingMicroAllocator, if kernels need no scratch
buffers. The tail (its own structures and variables) is added in the same block of RAM. Its size depends on
the version, the kernels and the processor's pointers. For networks with 4 to 15 operators it was 1.5 to 6 kB
on a 64-bit host, often more than the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lwdash.tflite.reader import TfliteFacts
from lwdash.tflite.tensor import Tensor, bits_of

ALIGNMENT = 16
_BODIES = (
    "cond_subgraph_index", "body_subgraph_index", "then_subgraph_index", "else_subgraph_index", "subgraph",
)  # fmt: skip


@dataclass
class _Life:
    """Lifetime of a tensor: from the operator that computes it to the last operator that reads it."""

    size: int
    first: int
    last: int

    def meets(self, other: _Life) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Planned:
    """Result of planning the arena.

    arena_bytes: end of the highest tensor. peak_bytes: most bytes alive at one time, the lower bound of
    any plan.
    """

    arena_bytes: int
    peak_bytes: int


def plan_arena(facts: TfliteFacts) -> Planned:
    """Place every computed tensor, the largest first, in the lowest gap among tensors that are alive at the
    same time.

    Sizes are for one row, rounded up to 16 bytes, as in TensorFlow Lite Micro's GreedyMemoryPlanner. Of
    tensors of equal size, the one with the highest index is placed first, as there. A tensor is alive from
    its operator (the start, for inputs) to its last use (the end, for outputs). Constants stay in flash.
    """
    lives: dict[tuple[int, int], _Life] = {}
    end = _follow(facts, 0, 0, lives)
    for index in facts.subgraphs[0].outputs:
        if (0, index) in lives:
            lives[0, index].last = end
    by_number = [lives[key] for key in sorted(lives, reverse=True)]
    known = sorted((life for life in by_number if life.size), key=lambda life: -life.size)
    moments = {life.first for life in known}
    peak = max((sum(o.size for o in known if o.first <= m <= o.last) for m in moments), default=0)
    return Planned(_greedy(known), peak)


def _greedy(lives: Sequence[_Life]) -> int:
    placed: list[tuple[int, _Life]] = []
    for life in lives:
        offset = 0
        for start, other in sorted(placed, key=lambda one: one[0]):
            if not life.meets(other):
                continue
            if start - offset >= life.size:
                break
            offset = max(offset, start + other.size)
        placed.append((offset, life))
    return max((offset + life.size for offset, life in placed), default=0)


def _follow(facts: TfliteFacts, subgraph: int, moment: int, lives: dict[tuple[int, int], _Life]) -> int:
    """Record the lifetimes of a graph's tensors, including those of inner loops and branches; return its last
    moment.
    """
    graph = facts.subgraphs[subgraph]

    def mark(index: int, now: int) -> None:
        if index < 0 or graph.tensors[index].is_constant or graph.tensors[index].is_variable:
            return
        life = lives.setdefault((subgraph, index), _Life(_bytes_of(graph.tensors[index]), now, now))
        life.last = max(life.last, now)

    for index in graph.inputs:
        mark(index, moment)
    for operator in graph.operators:
        moment += 1
        for index in operator.outputs:
            mark(index, moment)
        for name in _BODIES:
            body = operator.options.get(name)
            if isinstance(body, int) and 0 < body < len(facts.subgraphs) and body != subgraph:
                moment = _follow(facts, body, moment, lives)
        for index in (*operator.inputs, *operator.outputs):
            mark(index, moment)
    for index in graph.outputs:
        mark(index, moment)
    return moment


def _bytes_of(tensor: Tensor) -> int:
    raw = -(-tensor.elements * bits_of(tensor.dtype) // 8)
    return -(-raw // ALIGNMENT) * ALIGNMENT
