"""Arguments of the commands: names, options, and the help for each."""

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import lwdash
from lwdash.cli import gc
from lwdash.datasets.data_settings import DATA_FILES, TASKS
from lwdash.errors import UserMistake
from lwdash.metrics.limits import LIMITS, Option, limit_of
from lwdash.metrics.offers import all_target_columns
from lwdash.search.proposals import DEFAULT_SAMPLER, SAMPLERS
from lwdash.search.space import FORMATS, GOAL_NAMES, GOALS, INTEGER_FORMATS, TUNED, goal_of
from lwdash.settings import Settings
from lwdash.targets import TARGETS
from storage.store import Store

Command = Callable[[argparse.Namespace, Settings, Store], int]
"""Runs a command; returns its exit code."""

GOAL_LABELS = {name: GOALS[column].label for name, column in GOAL_NAMES.items()}

SIGNS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
"""Names for `--delimiter`, for signs with a special meaning in shells."""


def command_parser(functions: Mapping[str, Command]) -> argparse.ArgumentParser:
    """The parser of every command; `options.name` is the given command, `options.command` its function.

    `serve` has no function, since it needs no database.
    """
    is_module = Path(sys.argv[0]).name == "__main__.py"
    parser = argparse.ArgumentParser(
        prog="python -m lwdash" if is_module else "lwdash",
        description="Compression experiments on Keras models.",
    )
    parser.add_argument("--version", action="version", version=f"lwdash {lwdash.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="name")

    def command(name: str, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.add_argument("--json", action="store_true", help="one JSON object on standard output")
        sub.set_defaults(command=functions[name])
        return sub

    inspect = command("inspect", "Show the facts of a model file.")
    inspect.add_argument("model", type=Path)
    _code_option(inspect)

    run = command("run", "Compress a model by recipes and measure every result.")
    run.add_argument("model", type=Path)
    _data_options(run)
    _experiment_options(run)
    _recipe_option(run)
    _device_wait_option(run)

    check = command("check", "Compress a model by recipes; exit code 1 unless every file keeps every limit.")
    check.add_argument("model", type=Path)
    _data_options(check)
    _experiment_options(check)
    _recipe_option(check)
    _device_wait_option(check)

    add = command("add", "Measure a .tflite that was made elsewhere beside the runs of an experiment.")
    add.add_argument("experiment", metavar="EXPERIMENT", help="its name, or its number")
    add.add_argument("file", type=Path, metavar="FILE.tflite")

    search = command("search", "Let lwdash choose the recipes, using each result to choose the next.")
    search.add_argument("model", type=Path)
    _data_options(search)
    _experiment_options(search)
    search.add_argument(
        "--goal",
        type=_goal,
        metavar="GOAL",
        default=GOAL_NAMES["size"],
        help="metric to improve while quality stays high: "
        + "; ".join(f"{k}, {GOAL_LABELS[k]}" for k in GOAL_NAMES)
        + "; or a metric of a target, such as ethos_u55_256.inferences_per_second or device_1.latency_ms_p50 (size)",
    )
    search.add_argument(
        "--runs", type=int, default=24, metavar="N", help="maximum number of runs that it starts (24)"
    )
    search.add_argument(
        "--technique",
        action="append",
        choices=list(TUNED),
        help="technique that may be used before quantizing; repeat it for more (default: all that can "
        "change the goal and can treat the model)",
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

    search.add_argument("--sampler-seed", type=int, default=0, metavar="N", help="seed of the sampler (0)")
    search.add_argument(
        "--no-early-stop",
        action="store_true",
        help="also finish runs whose training has lost more accuracy than the limit allows and later steps recover",
    )

    lint = command("lint", "Show problems of the data that would make metrics wrong, before any run.")
    lint.add_argument("model", type=Path)
    _data_options(lint)

    listing = command("runs", "List runs, newest experiment first.")
    listing.add_argument("--experiment", metavar="NAME")

    show = command("show", "Show one run with all its measurements.")
    show.add_argument("run", type=int)
    show.add_argument("--layers", action="store_true", help="one line per operator of the .tflite")

    sensitivity = command("sensitivity", "Measure the loss that each layer's quantization causes in a run.")
    sensitivity.add_argument("run", type=int)

    targets = command("targets", "Show which runtimes run a run's file, and what it needs there.")
    targets.add_argument("run", type=int)
    targets.add_argument(
        "--on", action="append", default=[], choices=list(TARGETS), metavar="TARGET",
        help=f"measure it there first, and wait; repeat it for more. One of {', '.join(TARGETS)}",
    )  # fmt: skip

    boards = command("boards", "List boards with their memory; with a run, whether its file fits.")
    boards.add_argument("run", type=int, nargs="?")

    _device_actions(
        command("device", "Measure runs on another computer, whose agent connects to the dashboard.")
    )

    export = command("export", "Write a run's .tflite to a file.")
    export.add_argument("run", type=int)
    export.add_argument("--out", type=Path, required=True, metavar="FILE")
    export.add_argument(
        "--c-array",
        action="store_true",
        help="as a C source file, with its header beside it, for microcontrollers",
    )
    export.add_argument(
        "--project",
        action="store_true",
        help="as a zip with a program for TensorFlow Lite Micro that runs evaluation rows and compares the outputs",
    )
    export.add_argument(
        "--stored",
        action="store_true",
        help="in the storage form of its recipe: look-up tables, or a zip of the coded file and its decoders",
    )

    capsule = command("capsule", "Write everything needed to reproduce a run to a zip.")
    capsule.add_argument("run", type=int)
    capsule.add_argument("--out", type=Path, required=True, metavar="ZIP")
    capsule.add_argument(
        "--with-files",
        action="store_true",
        help="with the original model and the data, not only their hashes",
    )

    verify = command("verify", "Make the file of a capsule again and report differences.")
    verify.add_argument("capsule", type=Path, metavar="ZIP")
    verify.add_argument("--model", type=Path, help="the original model, if the capsule does not contain it")
    _code_option(verify)
    for option, what in (("data", "data"), ("eval", "evaluation rows"), ("calibration", "calibration rows")):
        verify.add_argument(
            f"--{option}", type=Path, metavar="FILE", help=f"the {what}, if the capsule does not contain it"
        )

    cancel = command("cancel", "End a queued or running run.")
    cancel.add_argument("run", type=int)

    removable = command("gc", "Remove files that no run needs: old caches, logs, unused uploads.")
    removable.add_argument("--dry-run", action="store_true", help="only list what would be removed")
    removable.add_argument(
        "--older-than", type=float, default=gc.OLDER_THAN_DAYS, metavar="DAYS", help="(default: %(default)g)"
    )

    help = "Show the dashboard. Takes every option of `streamlit run` too, e.g. --server.baseUrlPath=lwdash."
    serve = commands.add_parser("serve", help=help, description=help)
    serve.add_argument("--port", type=int, metavar="N", help="(8501)")
    serve.add_argument(
        "--address", metavar="HOST", help="(127.0.0.1; read docs/sign-in.md before you open it)"
    )

    command("doctor", "Check versions, database, engine and disk.")
    return parser


def _device_actions(parser: argparse.ArgumentParser) -> None:
    """The actions of `device`, each with its own arguments."""
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")

    def action(name: str, help: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=help, description=help)
        # Without a default of its own, an option before the action keeps its value.
        sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object")
        return sub

    add = action("add", "Add a device, and show the command that starts its agent there.")
    add.add_argument("device", metavar="NAME")
    add.add_argument(
        "--server",
        metavar="URL",
        default="http://127.0.0.1:8501",
        help="address of the dashboard as the device reaches it (%(default)s)",
    )
    add.add_argument("--out", type=Path, metavar="FILE", help="write the agent's file, to copy it by hand")
    action("list", "List the devices, and what they do.")
    remove = action("remove", "Remove a device: its token becomes invalid, its results stay.")
    remove.add_argument("device", metavar="NAME", help="its name, or its number")
    measure = action("measure", "Measure a run's file on a device, and wait for the result.")
    measure.add_argument("run", type=int)
    measure.add_argument("--device", required=True, metavar="NAME", help="its name, or its number")
    measure.add_argument("--no-wait", action="store_true", help="only queue it")
    agent = action("agent", "Write the agent's file: one Python file without lwdash.")
    agent.add_argument("--out", type=Path, required=True, metavar="FILE")


def _recipe_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe",
        action="append",
        required=True,
        metavar="R",
        help="e.g. 'prune(sparsity=0.8) + int8'; repeat it for more",
    )


def _device_wait_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device-wait",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="longest time to wait for devices that have limits (300): their agents report to the dashboard of this home",
    )


def _experiment_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--experiment", metavar="NAME", help="name of the experiment (default: the model's file name)"
    )
    for option in (limit.option for limit in LIMITS.values()):
        parser.add_argument(
            f"--max-{option.name}", type=partial(_limit, option), metavar=option.unit, help=option.help
        )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        type=_named_limit,
        metavar="NAME=VALUE",
        help="limit on a metric of a target, such as ethos_u55_256.npu_cycles=50000 or openvino.latency_ms_p50=200us; the "
        "least value where more is better (ethos_u55_256.inferences_per_second=1000). It switches the target on. Repeat it "
        "for more; docs/target-metrics.md lists the names",
    )
    parser.add_argument(
        "--board",
        metavar="NAME",
        help="fills --max-size and --max-arena from a board (`lwdash boards` lists them); limits that are given count",
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="number of threads for latency measurements (1)"
    )


def _code_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--code",
        type=Path,
        metavar="FILE.py",
        help="the Python file that defines the model's custom layers and functions. It runs on this machine, without "
        "network and secrets: give only code that you trust. Lambda layers are loaded only with it",
    )


def _data_options(parser: argparse.ArgumentParser) -> None:
    _code_option(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, metavar="FILE", help=f"the samples: {DATA_FILES}")
    source.add_argument(
        "--no-data",
        action="store_true",
        help="there are no samples: rows are generated from the model. Sizes, latencies and targets are measured; the "
        "accuracy is not, and no recipe that trains can run",
    )
    parser.add_argument(
        "--input-range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="with --no-data: the range of the model's input values (default: from its first layers)",
    )
    parser.add_argument("--eval", type=Path, metavar="FILE", help="separate rows to measure on")
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="separate rows to set ranges with")
    parser.add_argument(
        "--label",
        metavar="COLUMN",
        help="the label column or array, or first..last of several: one-hot, one per predicted number, or one per "
        "time step or pixel (default: detected)",
    )
    parser.add_argument(
        "--task",
        choices=TASKS,
        help="task of the outputs (default: from the labels; without labels a guess from the model)",
    )
    parser.add_argument(
        "--no-label", action="store_true", help="the data has no labels: compare with the original model"
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column or array that is neither label nor input",
    )
    parser.add_argument(
        "--classes",
        type=_listed,
        metavar="LIST",
        help="the labels in the order of the model's outputs, e.g. normal,ectopic,noise (default: whole "
        "numbers count from 0 or 1, texts are sorted)",
    )
    parser.add_argument(
        "--delimiter",
        type=_delimiter,
        metavar="SIGN",
        help="column separator: comma, semicolon, tab, bar or the sign itself (default: detected)",
    )
    parser.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line names the columns (default: detected)",
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
        help="continue although the model's outputs contradict the labels",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the split into parts (0)")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _delimiter(text: str) -> str:
    sign = SIGNS.get(text.lower(), text)
    if len(sign) != 1:
        raise argparse.ArgumentTypeError(f"must be {', '.join(SIGNS)} or one sign, but got {text!r}")
    return sign


def _named_limit(text: str) -> tuple[str, float]:
    """The key and the stored value of `NAME=VALUE`."""
    name, equals, value = text.partition("=")
    try:
        if not equals:
            raise UserMistake(f"must be NAME=VALUE, but got {text!r}")
        option = limit_of(name.strip()).option
        return name.strip(), option.read(value) * option.factor
    except UserMistake as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _goal(text: str) -> str:
    """The column of a goal, from its short name or the name of a target's metric."""
    try:
        return goal_of(GOAL_NAMES.get(text, text)).column
    except UserMistake as error:
        known = ", ".join([*GOAL_NAMES, *all_target_columns()])
        raise argparse.ArgumentTypeError(f"must be one of {known}, but got {text!r}") from error


def _limit(option: Option, text: str) -> float:
    try:
        return option.read(text)
    except UserMistake as error:
        raise argparse.ArgumentTypeError(str(error)) from error
