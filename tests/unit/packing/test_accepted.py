"""The tensors that a storage form stores: all, those of some operator types, or single ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from lwdash.packing.accepted import accepted


@dataclass(frozen=True)
class Tensor:
    name: str
    kinds: tuple[str, ...]


TENSORS = [
    Tensor("a", ("CONV_2D",)), Tensor("b", ("FULLY_CONNECTED",)), Tensor("c", ("CONV_2D",)), Tensor("d", ("CONV_2D",)),
    Tensor("e", ("FULLY_CONNECTED",)),
]  # fmt: skip


class Runtime:
    """Refuses each file that stores one of these tensors; keeps the files that it was given."""

    def __init__(self, *refused: str):
        self.refused, self.files = refused, list[bytes]()

    def accepts(self, data: bytes) -> str | None:
        self.files.append(data)
        wrong = [name for name in data.decode() if name in self.refused]
        return f"no kernel for {wrong[0]}" if wrong else None


def rewrite(chosen: Sequence[Tensor]) -> bytes:
    return "".join(one.name for one in chosen).encode()


@pytest.mark.parametrize(
    ("refused", "kept", "files"),
    [
        ((), "abcde", 1),
        (("b",), "acde", 5),
        (("b", "e"), "acd", 5),
        (("a", "b", "c", "d", "e"), "", 8),
    ],
)
def test_what_the_runtime_accepts_is_kept(refused: tuple[str, ...], kept: str, files: int) -> None:
    runtime = Runtime(*refused)
    found, dense = accepted(TENSORS, rewrite, runtime.accepts)
    assert rewrite(found).decode() == kept
    assert sorted(one.name for one in dense) == list(refused)
    assert all(one.reason == f"no kernel for {one.name}" for one in dense)
    assert len(runtime.files) == files
    if kept:
        assert rewrite(found) in runtime.files
        assert not set(kept) & set(refused)


def test_without_candidates_nothing_runs() -> None:
    runtime = Runtime()
    assert accepted([], rewrite, runtime.accepts) == ([], [])
    assert runtime.files == []
