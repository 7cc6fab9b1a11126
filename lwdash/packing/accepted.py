"""The choice of the tensors that a storage form stores: all of them, or those that the runtime accepts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from lwdash.contract import Accepts
from lwdash.packing.stored_tensors import LeftDense


class Storable(Protocol):
    """A tensor that a storage form can store. kinds: types of the operators that read it, in order."""

    @property
    def name(self) -> str: ...

    @property
    def kinds(self) -> tuple[str, ...]: ...


S = TypeVar("S", bound=Storable)


def accepted(
    candidates: Sequence[S], rewrite: Callable[[Sequence[S]], bytes], accepts: Accepts
) -> tuple[list[S], list[LeftDense]]:
    """The largest set of candidates found that works, and the others with the reason.

    rewrite: gives the file with these candidates stored, the others dense. `accepts` gets the file with all of them; where
    it refuses, those of each type of operator together, and where it refuses these, each candidate by itself.
    The file of the returned candidates, in their order, is one that `accepts` has accepted.
    """

    def refusal(chosen: Sequence[S]) -> str | None:
        return accepts(rewrite(chosen))

    if not candidates or refusal(candidates) is None:
        return list(candidates), []
    groups: dict[tuple[str, ...], list[S]] = defaultdict(list)
    for candidate in candidates:
        groups[candidate.kinds].append(candidate)
    kept: list[S] = []
    refused: list[LeftDense] = []
    for members in groups.values():
        reason = refusal([*kept, *members])
        if reason is None:
            kept += members
            continue
        for one in members:
            reason = refusal([*kept, one]) if len(members) > 1 else reason
            if reason is None:
                kept.append(one)
            else:
                refused.append(LeftDense(one.name, one.kinds[0], reason))
    return kept, refused
