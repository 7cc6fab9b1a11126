"""Names of arrays in place of their columns: the label that a file states, settings, and messages."""

from collections.abc import Sequence
from dataclasses import replace

from lwdash.datasets.data_facts import DataFacts, named_run
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.input_fit import InputFit


def with_arrays(facts: DataFacts, settings: DataSettings) -> DataSettings:
    """The settings with the label that the file states, and with columns in place of the names of arrays."""
    label = facts.label if settings.label is None else settings.label
    columns = facts.named_columns(label or "")
    if columns:
        label = f"{facts.names[columns[0]]}..{facts.names[columns[-1]]}"
    ignored: list[str] = []
    for name in settings.ignored:
        own = [facts.names[i] for i in facts.named_columns(name)]
        ignored += own or [name]
    if facts.label is not None and settings.label is None and _covers(facts, ignored, facts.label):
        label = None
    return replace(settings, label=label, ignored=tuple(ignored))


def _covers(facts: DataFacts, ignored: Sequence[str], label: str) -> bool:
    """True if the label's own columns are left out."""
    own = named_run(facts.names, label)
    return bool({facts.names[i] for i in own} & set(ignored)) or label in ignored


def unused_columns(facts: DataFacts, free: Sequence[int], fits: Sequence[InputFit]) -> list[str]:
    """A warning for columns that no input takes; only beside arrays, since columns of numbers must all be taken."""
    left = [i for i in free if i not in {i for fit in fits for i in fit.columns}]
    if not left:
        return []
    names = list(dict.fromkeys(array_of(facts, i) for i in left))
    return [
        f"{', '.join(names[:6])}{' …' if len(names) > 6 else ''} in the file {'is' if len(names) == 1 else 'are'} not used"
    ]


def array_of(facts: DataFacts, index: int) -> str:
    return next((name for name, first, last in facts.spread if first <= index <= last), facts.names[index])
