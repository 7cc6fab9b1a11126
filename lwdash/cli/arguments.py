"""Arguments of the commands: names, options, and the help for each."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from lwdash.cli import gc
from lwdash.datasets.data_settings import TASKS
from lwdash.search import space
from lwdash.search.proposals import DEFAULT_SAMPLER, SAMPLERS
from lwdash.search.space import FORMATS, INTEGER_FORMATS, TUNED
from lwdash.settings import Settings
from storage.store import Store

Command = Callable[[argparse.Namespace, Settings, Store], int]
"""Runs a command; returns its exit code."""
LIMITS = {
    "size": ("size_bytes", 1000.0, "KB", "largest .tflite in kB (1,000 bytes)"),
    "drop": ("accuracy_drop", 0.01, "POINTS", "largest loss of accuracy in percentage points"),
    "latency": ("latency_ms", 1.0, "MS", "longest latency in ms"),
    "arena": (
        "arena_bytes",
        1000.0,
        "KB",
        "most RAM that TensorFlow Lite Micro plans for activations, in kB (1,000 bytes)",
    ),
}
"""Options `--max-…` of `run`: the limit they set, the factor to its unit, the unit they take, what it means."""

GOALS = {"size": "size_bytes", "gzip": "gzip_bytes", "latency": "speedup", "arena": "arena_bytes"}
"""Words of `--goal` → the goals of a search."""
GOAL_WORDS = {word: space.GOALS[column].label for word, column in GOALS.items()}

SIGNS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
"""Names of `--delimiter`, for signs that a shell takes for its own."""


def command_parser(functions: Mapping[str, Command]) -> argparse.ArgumentParser:
    """The parser of every command; `options.command` is what `functions` has for the one that was called."""
    parser = argparse.ArgumentParser(
        prog="python -m lwdash", description="Compression experiments on Keras models."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.add_argument("--json", action="store_true", help="one JSON object on standard output")
        sub.set_defaults(command=functions[name])
        return sub

    inspect = command("inspect", "Say what a model file holds, without running it.")
    inspect.add_argument("model", type=Path)

    run = command("run", "Compress a model by recipes and measure every result.")
    run.add_argument("model", type=Path)
    _data_options(run)
    _experiment_options(run)
    run.add_argument(
        "--recipe",
        action="append",
        required=True,
        metavar="R",
        help="e.g. 'prune(sparsity=0.8) + int8'; repeat it for more",
    )

    search = command("search", "Let lwdash choose the recipes, learning from each result what to try next.")
    search.add_argument("model", type=Path)
    _data_options(search)
    _experiment_options(search)
    search.add_argument(
        "--goal",
        choices=GOALS,
        default="size",
        help="what is to be good while quality stays high: "
        + "; ".join(f"{k}, {GOAL_WORDS[k]}" for k in GOALS)
        + " (size)",
    )
    search.add_argument("--runs", type=int, default=24, metavar="N", help="how many runs it may start (24)")
    search.add_argument(
        "--technique",
        action="append",
        choices=list(TUNED),
        help="may be used before quantizing; repeat it for more (default: all that can change the goal and find something "
        "to treat)",
    )
    search.add_argument(
        "--post-training", action="store_true", help="number formats only: no technique that trains"
    )
    search.add_argument(
        "--format",
        action="append",
        metavar="STEP",
        help="a number format that may be used, e.g. 'int8(io=float32)'; repeat it for more "
        f"(default: {', '.join(FORMATS)}; for the arena {', '.join(INTEGER_FORMATS)})",
    )
    search.add_argument(
        "--sampler",
        choices=list(SAMPLERS),
        default=DEFAULT_SAMPLER,
        help="; ".join(f"{k}: {v}" for k, v in SAMPLERS.items()) + f" ({DEFAULT_SAMPLER})",
    )

    search.add_argument(
        "--sampler-seed", type=int, default=0, metavar="N", help="decides what the sampler draws (0)"
    )

    lint = command("lint", "Say what in the data would spoil the figures, before any run.")
    lint.add_argument("model", type=Path)
    _data_options(lint)

    listing = command("runs", "List runs, newest experiment first.")
    listing.add_argument("--experiment", metavar="NAME")

    show = command("show", "Show one run with everything measured.")
    show.add_argument("run", type=int)
    show.add_argument("--layers", action="store_true", help="one line an operator of the .tflite")

    sensitivity = command("sensitivity", "Measure which layers are to blame for what quantizing costs a run.")
    sensitivity.add_argument("run", type=int)

    export = command("export", "Write a run's .tflite to a file.")
    export.add_argument("run", type=int)
    export.add_argument("--out", type=Path, required=True, metavar="FILE")
    export.add_argument(
        "--c-array",
        action="store_true",
        help="as a C source file, with its header beside it, for microcontrollers",
    )

    capsule = command("capsule", "Write all that a run can be made again from to a zip.")
    capsule.add_argument("run", type=int)
    capsule.add_argument("--out", type=Path, required=True, metavar="ZIP")
    capsule.add_argument(
        "--with-files",
        action="store_true",
        help="with the original model and the data, not only their hashes",
    )

    verify = command("verify", "Make the file of a capsule again and say what differs.")
    verify.add_argument("capsule", type=Path, metavar="ZIP")
    verify.add_argument("--model", type=Path, help="the original model, where the capsule does not hold it")
    for option, what in (("data", "data"), ("eval", "evaluation rows"), ("calibration", "calibration rows")):
        verify.add_argument(f"--{option}", type=Path, metavar="CSV", help=f"the {what}, likewise")

    cancel = command("cancel", "End a queued or running run.")
    cancel.add_argument("run", type=int)

    spare = command("gc", "Remove what no run needs: old caches, logs, unused uploads.")
    spare.add_argument("--dry-run", action="store_true", help="only say what would go")
    spare.add_argument(
        "--older-than", type=float, default=gc.OLDER_THAN_DAYS, metavar="DAYS", help="(default: %(default)g)"
    )

    command("doctor", "Check versions, database, engine and disk.")
    return parser


def _experiment_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--experiment", metavar="NAME", help="name of the experiment (default: the model's file name)"
    )
    for name, (_, _, unit, help) in LIMITS.items():
        parser.add_argument(f"--max-{name}", type=_positive, metavar=unit, help=help)
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="threads that latencies are measured with (1)"
    )


def _data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help="the samples, one a row")
    parser.add_argument("--eval", type=Path, metavar="CSV", help="rows of their own to measure on")
    parser.add_argument(
        "--calibration", type=Path, metavar="CSV", help="rows of their own to set ranges with"
    )
    parser.add_argument(
        "--label",
        metavar="COLUMN",
        help="the label column, or first..last of several: one-hot, one for each number that is predicted, or one for "
        "each time step or pixel (found when there are some that look like it)",
    )
    parser.add_argument(
        "--task",
        choices=TASKS,
        help="what the outputs are for (taken from the labels; without labels a guess from the model)",
    )
    parser.add_argument(
        "--no-label", action="store_true", help="the CSV has no labels: compare with the original model"
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column that is neither label nor input",
    )
    parser.add_argument(
        "--classes",
        type=_listed,
        metavar="LIST",
        help="the labels in the order of the model's outputs, e.g. normal,ectopic,noise (found: whole numbers count "
        "from 0 or 1, texts are sorted)",
    )
    parser.add_argument(
        "--delimiter",
        type=_delimiter,
        metavar="SIGN",
        help="between columns: comma, semicolon, tab, bar or the sign itself (found)",
    )
    parser.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line names the columns (found)",
    )
    parser.add_argument(
        "--preprocess",
        default="",
        metavar="SPEC",
        help="e.g. 'resize(500, method=area) + scale(minmax, per=row)'",
    )
    parser.add_argument(
        "--trust-labels",
        action="store_true",
        help="go on although the model's outputs contradict the labels as they are read",
    )
    parser.add_argument("--seed", type=int, default=0, help="decides which rows are in which part (0)")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _delimiter(text: str) -> str:
    sign = SIGNS.get(text.lower(), text)
    if len(sign) != 1:
        raise argparse.ArgumentTypeError(f"must be {', '.join(SIGNS)} or one sign, but got {text!r}")
    return sign


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, but got {text}")
    return value
