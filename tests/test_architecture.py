"""Who may import whom, read from the sources; and what the server's process never holds."""

import ast
import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from lwdash.techniques import TECHNIQUES

ROOT = Path(__file__).parents[1]

HEAVY = frozenset(
    {"tensorflow", "keras", "tf_keras", "tensorflow_model_optimization", "ai_edge_litert", "litert_quantizer"}
)
TRAINING = HEAVY - {"ai_edge_litert", "litert_quantizer"}


class Allowed(NamedTuple):
    """What a part may import besides itself, `lwdash`, `lwdash.errors`, `lwdash.percent_text` and the standard library."""

    ours: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()


def allowed(ours: str = "", libraries: str = "", more: frozenset[str] = frozenset()) -> Allowed:
    return Allowed(frozenset(ours.split()), frozenset(libraries.split()) | more)


# An entry allows a module and all below it. Storage knows no technique, techniques know no storage; the child
# (worker) has no database; of models and data, what runs in the server sees facts and settings only.
FACTS = (
    "lwdash.keras_models.model_facts lwdash.datasets.data_facts lwdash.datasets.fit lwdash.datasets.data_settings "
    "lwdash.datasets.linter.findings lwdash.datasets.preview_arrays"
)
ARROWS: Mapping[str, Allowed] = {
    "app": allowed(
        "lwdash.ui lwdash.engine lwdash.server lwdash.serving lwdash.settings storage",
        "streamlit starlette anyio",
    ),
    "pages": allowed(
        "lwdash.ui lwdash.charts lwdash.metrics lwdash.engine.submit storage", "streamlit pandas"
    ),
    "storage": allowed("", "sqlalchemy alembic fsspec pandas"),
    "lwdash.__main__": allowed("lwdash.cli"),
    # The same records and sentences as on the command line.
    "lwdash.api": allowed(
        "lwdash.charts lwdash.cli.run_records lwdash.cli.search_records lwdash.datasets.data_settings lwdash.engine "
        "lwdash.metrics lwdash.recipe lwdash.search lwdash.settings storage",
        "numpy pandas plotly tqdm",
    ),
    "lwdash.cli": allowed(
        "lwdash.advice lwdash.capsule lwdash.datasets.data_settings lwdash.engine "
        "lwdash.keras_models.model_facts lwdash.metrics lwdash.recipe lwdash.search lwdash.settings "
        "lwdash.targets storage",
        "sqlalchemy",
    ),
    "lwdash.ui": allowed(
        "lwdash.recipe lwdash.parameters lwdash.techniques lwdash.charts lwdash.metrics lwdash.report lwdash.advice "
        "lwdash.engine.submit lwdash.engine.input_files.file_inspection lwdash.engine.input_files.linting "
        "lwdash.engine.input_files.row_generation "
        "lwdash.engine.devices.device_waiting lwdash.engine.devices.device_work "
        "lwdash.engine.devices.target_metrics lwdash.engine.home "
        "lwdash.engine.doctor lwdash.engine.gpu_training "
        "lwdash.engine.devices.known_boards lwdash.engine.scheduler lwdash.settings lwdash.serving "
        f"lwdash.examples storage {FACTS} lwdash.keras_models.obstacles "
        "lwdash.search.space lwdash.search.outcomes lwdash.search.proposals lwdash.search.search_report "
        "lwdash.search.sweeps lwdash.targets",
        "streamlit pandas numpy plotly psutil",
    ),
    # A capsule is files and hashes; its scripts, which lwdash never runs, use what makes a .tflite.
    "lwdash.capsule": allowed(
        "lwdash.recipe lwdash.compress lwdash.datasets lwdash.keras_models lwdash.measure lwdash.targets lwdash.tflite",
        "numpy ai_edge_litert PIL pyarrow scipy",
    ),
    # Advice is read off figures: it writes recipes, and touches neither files nor the database.
    "lwdash.advice": allowed("lwdash.recipe lwdash.parameters lwdash.techniques"),
    # Data → figure; what is best, and what a limit admits, is decided in metrics.
    "lwdash.charts": allowed("lwdash.metrics", "pandas numpy plotly"),
    # Other runtimes and devices; how rows become a file's inputs is the runner's business.
    "lwdash.targets": allowed(
        "lwdash.forked_programs lwdash.measure lwdash.metrics lwdash.process_lifetime lwdash.tflite",
        "ai_edge_litert numpy onnxruntime openvino yaml",
    ),
    "lwdash.forked_programs": allowed("lwdash.process_lifetime", "numpy tflite_micro"),
    # Storage forms of a finished file, written from the schema alone.
    "lwdash.packing": allowed("lwdash.tflite lwdash.contract", "numpy ai_edge_litert"),
    "lwdash.metrics": allowed("", "pandas numpy"),
    # One HTML file of figures and tables, whoever hands them in: it knows neither pages nor storage.
    "lwdash.report": allowed("", "pandas plotly"),
    # The routes, and what they answer with from storage and engine; never a page.
    "lwdash.server": allowed(
        "lwdash.engine lwdash.report lwdash.serving lwdash.settings storage",
        "streamlit starlette anyio psutil prometheus_client",
    ),
    # What a server's pages and its routes both need: the pages know no route, the routes no page.
    "lwdash.serving": allowed("lwdash.engine.scheduler", "streamlit"),
    "lwdash.engine": allowed(
        "lwdash.recipe lwdash.techniques lwdash.child.link lwdash.child.stage_messages lwdash.child.jobs "
        "lwdash.child.job_results lwdash.child.typed_messages lwdash.child.no_network "
        "lwdash.process_lifetime lwdash.settings "
        "lwdash.failure_causes lwdash.capsule lwdash.metrics lwdash.packing.coded_file "
        f"lwdash.search lwdash.targets lwdash.keras_models.obstacles lwdash.child.warm_parent storage {FACTS}",
        "dask distributed psutil prometheus_client pandas sqlalchemy",
    ),
    # What to try next is read off figures, judged by limits as the pages judge them.
    "lwdash.search": allowed(
        "lwdash.recipe lwdash.techniques lwdash.metrics",
        "optuna pandas numpy scipy",
    ),
    # The child has no database and no secrets; the process that forks it imports its libraries by name.
    "lwdash.child": allowed(
        "lwdash.process_lifetime lwdash.capsule.flash lwdash.compress lwdash.analyses lwdash.recipe lwdash.measure "
        "lwdash.targets lwdash.tflite lwdash.datasets lwdash.generated_rows lwdash.keras_models "
        "lwdash.training.gpu_device",
        "ai_edge_litert h5py",
    ),
    "lwdash.compress": allowed(
        "lwdash.analyses lwdash.contract lwdash.recipe lwdash.spread_rows lwdash.techniques lwdash.export lwdash.quantize "
        "lwdash.keras_models lwdash.datasets lwdash.measure lwdash.packing lwdash.targets lwdash.tflite",
        "numpy",
    ),
    # Analyses take a file apart with what puts it together, and measure the parts.
    "lwdash.analyses": allowed(
        "lwdash.measure lwdash.parameters lwdash.recipe lwdash.techniques lwdash.quantize lwdash.spread_rows "
        "lwdash.tflite",
        "numpy",
    ),
    "lwdash.recipe": allowed("lwdash.parameters lwdash.techniques"),
    # The list of what a recipe can name; what several of them need is in the three folders below.
    "lwdash.techniques": allowed(
        "lwdash.contract lwdash.parameters lwdash.export lwdash.quantize lwdash.training lwdash.keras_models "
        "lwdash.packing lwdash.tflite",
        "numpy",
        HEAVY,
    ),
    "lwdash.export": allowed(
        "lwdash.contract lwdash.quantize lwdash.training lwdash.keras_models lwdash.tflite lwdash.failure_causes",
        "numpy",
        HEAVY,
    ),
    # A process that a quantizer starts ends with it, as the child itself does (process_lifetime).
    "lwdash.quantize": allowed(
        "lwdash.contract lwdash.measure lwdash.parameters lwdash.training lwdash.tflite lwdash.failure_causes "
        "lwdash.process_lifetime lwdash.spread_rows",
        "numpy scipy",
        HEAVY,
    ),
    "lwdash.training": allowed(
        "lwdash.contract lwdash.parameters lwdash.keras_models lwdash.spread_rows", "numpy scipy", HEAVY
    ),
    # Rows made from a model; the linter's reading of a scaling gives their range.
    "lwdash.generated_rows": allowed(
        "lwdash.datasets.linter.scaling_check lwdash.keras_models lwdash.training", "numpy", TRAINING
    ),
    "lwdash.contract": allowed("", "numpy"),
    "lwdash.keras_models": allowed("", "numpy h5py", TRAINING),
    "lwdash.datasets": allowed("", "numpy pandas pyarrow PIL scipy"),
    "lwdash.measure": allowed(
        "lwdash.process_lifetime lwdash.spread_rows lwdash.tflite", "numpy scipy flatbuffers ai_edge_litert"
    ),
    # The file format alone: no model, no data, no interpreter.
    "lwdash.tflite": allowed("", "numpy flatbuffers ai_edge_litert"),
    "lwdash.examples": allowed("", "numpy sklearn keras tensorflow"),
    "lwdash.settings": allowed("", "dotenv psutil"),
    "lwdash.parameters": allowed(),
    "lwdash.failure_causes": allowed(),
    "lwdash.process_lifetime": allowed(),
    "lwdash.spread_rows": allowed("", "numpy"),
    "lwdash.errors": allowed(),
    "lwdash.percent_text": allowed(),
    "lwdash": allowed(),
}
SOURCES = sorted(
    path for place in ("app.py", "pages", "lwdash", "storage")
    for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
)  # fmt: skip
SCRIPTS = {
    "lwdash/examples/train_example.py",
    "lwdash/examples/make_digits.py",
    "lwdash/examples/make_heartbeats.py",
}
"""Run by hand to make the example files anew; nothing imports them."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def part_of(module: str) -> str:
    pieces = module.split(".")
    return ".".join(pieces[:2]) if pieces[0] == "lwdash" else pieces[0]


PARTS: Mapping[str, list[Path]] = {
    part: [path for path in SOURCES if part_of(module_of(path)) == part]
    for part in dict.fromkeys(part_of(module_of(path)) for path in SOURCES)
}


@functools.cache
def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or place.is_dir()


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the arrow"
            assert node.module
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if is_module(name) else node.module for name in inner}
    return found


class Source(NamedTuple):
    """What the rules ask of one file. Its syntax tree is not kept: the trees of all files hold millions of objects.

    imports: what it imports anywhere, inside functions too. early_imports: what importing it imports.
    origins: of `from ORIGIN import …`. classes: the names of its public classes.
    docstrings: of the module first, "" if it has none; then strings below classes, functions and constants.
    constants: the names that it assigns.
    """

    imports: frozenset[str]
    early_imports: frozenset[str]
    origins: frozenset[str]
    classes: tuple[str, ...]
    docstrings: tuple[str, ...]
    constants: frozenset[str]


@functools.cache
def read(path: Path) -> Source:
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree))
    bodies = [getattr(node, "body", None) for node in nodes]
    values = [
        child.value
        for body in bodies
        if isinstance(body, list)
        for child in body
        if isinstance(child, ast.Expr)
    ]
    texts = [
        value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)
    ]
    return Source(
        frozenset(imported(iter(nodes))),
        frozenset(imported(at_import(tree))),
        frozenset(node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module),
        tuple(
            node.name
            for node in tree.body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        ),
        (ast.get_docstring(tree) or "", *texts),
        frozenset(
            node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ),
    )


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: not those inside functions, nor under TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from at_import(child)


def is_allowed(module: str, part: str) -> bool:
    rule = ARROWS[part]
    if module.split(".")[0] not in ("lwdash", "storage"):
        return module.split(".")[0] in sys.stdlib_module_names or module.split(".")[0] in rule.libraries
    known = rule.ours | {part} if part != "lwdash" else rule.ours
    below = any(module == name or module.startswith(name + ".") for name in known)
    return below or module in ("lwdash", "lwdash.errors", "lwdash.percent_text")


@pytest.mark.parametrize("part", PARTS)
def test_imports_go_along_the_allowed_arrows(part: str) -> None:
    assert part in ARROWS, f"{part} is new: say in ARROWS what it may import"
    wrong = {
        name_of(path): found
        for path in PARTS[part]
        if (found := sorted(m for m in read(path).imports if not is_allowed(m, part)))
    }
    assert wrong == {}, f"{part} may not import these"


@pytest.mark.parametrize("part", PARTS)
def test_imported_modules_exist(part: str) -> None:
    """Also where an import inside a function names a module that was moved."""
    ours = ("lwdash", "storage")
    missing = {
        name_of(path): found
        for path in PARTS[part]
        if (found := [m for m in read(path).origins if m.split(".")[0] in ours and not is_module(m)])
    }
    assert missing == {}


def test_the_rule_can_fail() -> None:
    assert not is_allowed("lwdash.techniques.prune", "storage")
    assert not is_allowed("storage.runs", "lwdash.child")
    assert not is_allowed("tensorflow", "lwdash.measure")
    assert not is_allowed("lwdash.keras_models.load", "lwdash.ui")
    assert is_allowed("lwdash.keras_models.model_facts", "lwdash.ui")
    assert not is_module("lwdash.no_such_module")


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """What imports itself by way of others, as sorted groups (Tarjan's strongly connected components)."""
    found: list[list[str]] = []
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_ones: list[str] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        open_ones.append(name)
        for target in arrows.get(name, ()):
            if target not in order:
                visit(target)
                lowest[name] = min(lowest[name], lowest[target])
            elif target in open_ones:
                lowest[name] = min(lowest[name], order[target])
        if lowest[name] == order[name]:
            start = open_ones.index(name)
            group = open_ones[start:]
            del open_ones[start:]
            if len(group) > 1:
                found.append(sorted(group))

    for name in arrows:
        if name not in order:
            visit(name)
    return found


def test_nothing_imports_itself_by_way_of_others() -> None:
    """Neither modules nor parts, and an import inside of a function counts as well."""
    modules = {module_of(path): read(path).imports for path in SOURCES}
    parts: dict[str, set[str]] = {}
    for module, targets in modules.items():
        ours = {part_of(t) for t in targets if t.split(".")[0] in ("lwdash", "storage")}
        parts.setdefault(part_of(module), set()).update(ours - {part_of(module), "lwdash"})
    assert circles(modules) == []
    assert circles(parts) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]


def test_a_name_is_given_once() -> None:
    """Two files of one name would be taken for each other in a search, in a traceback, in talk."""
    alike = {"__init__", "__main__", "errors"}
    names = [path.stem for path in SOURCES if path.parts[-2] not in ("pages", "versions")]
    assert sorted({name for name in names if names.count(name) > 1} - alike) == []


ONE_EACH = {"Params"}
"""Names of classes that several files have on purpose: every technique calls its parameters so."""


def test_a_class_has_a_name_of_its_own() -> None:
    """Two public classes of one name would be taken for each other; a private class belongs to its file."""
    places: dict[str, list[str]] = {}
    for path in SOURCES:
        for name in read(path).classes:
            places.setdefault(name, []).append(name_of(path))
    assert {name: files for name, files in places.items() if len(files) > 1 and name not in ONE_EACH} == {}


def test_a_name_of_a_test_file_is_given_once() -> None:
    """Outside of packages pytest imports test files by their names alone, and refuses the second of one name."""
    files = (ROOT / "tests").rglob("test_*.py")
    names = [path.name for path in files if not (path.parent / "__init__.py").exists()]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_the_documented_table_is_this_rule() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([^|]*) \|$", text, re.MULTILINE)
    documented = {part: set(re.findall(r"`([^`]+)`", allowed)) for part, allowed in rows}
    rule = {
        part.removeprefix("lwdash."): {name.removeprefix("lwdash.") for name in arrows.ours}
        for part, arrows in ARROWS.items()
    }
    assert documented == rule


def test_every_rule_has_its_part() -> None:
    assert set(ARROWS) == {part_of(module_of(path)) for path in SOURCES}


@pytest.mark.parametrize("part", PARTS)
def test_heavy_libraries_are_imported_inside_functions(part: str) -> None:
    early = {
        name_of(path): found
        for path in PARTS[part]
        if name_of(path) not in SCRIPTS
        and (found := {m.split(".")[0] for m in read(path).early_imports} & HEAVY)
    }
    assert early == {}, "importing these files would import these libraries"


@pytest.mark.processes
def test_the_servers_process_never_holds_tensorflow(tmp_path: Path) -> None:
    """A fresh interpreter imports all that app.py, the pages and the shell import, wherever in the file."""
    files = [ROOT / "app.py", ROOT / "lwdash" / "ui" / "shell.py", *(ROOT / "pages").glob("*.py")]
    modules = {m for path in files for m in read(path).imports}
    modules |= {module_of(p) for p in (ROOT / "lwdash" / "ui").rglob("*.py") if p.name != "shell.py"}
    modules |= {module_of(p) for p in (ROOT / "lwdash" / "charts").rglob("*.py")}
    program = (
        f"import importlib, sys\nfor name in {sorted(modules)!r}: importlib.import_module(name)\n"
        f"print(sorted({set(HEAVY)!r} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "LWDASH_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "[]"


def test_files_are_named_after_their_subject() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
    parts = {name_of(path): set(path.with_suffix("").parts) for path in SOURCES}
    assert [name for name, pieces in parts.items() if pieces & vague] == []


QUESTIONS = {"What", "Which", "Where", "When", "Whether", "How", "Who", "Whose", "Why"}
"""First words that a docstring does not have: it begins with the subject (a noun phrase or a verb)."""


@pytest.mark.parametrize("part", PARTS)
def test_every_file_says_what_it_is_about(part: str) -> None:
    assert [name_of(path) for path in PARTS[part] if not read(path).docstrings[0]] == []


@pytest.mark.parametrize("part", PARTS)
def test_docstrings_begin_with_their_subject_and_limits_are_called_max_or_min(part: str) -> None:
    """They begin with what the thing is or does, in the field's terms, and not with a question."""
    sources = {name_of(path): read(path) for path in PARTS[part]}
    asking = [
        (name, text[:60])
        for name, source in sources.items()
        for text in source.docstrings
        if text.split(maxsplit=1)[:1] and text.split(maxsplit=1)[0] in QUESTIONS
    ]
    coded = [
        (name, constant)
        for name, source in sources.items()
        for constant in source.constants
        if re.match(r"_?(MOST|FEWEST|LEAST)(_|$)", constant)
    ]
    assert (asking, coded) == ([], [])


def test_every_technique_is_listed_and_whole() -> None:
    """Optional: check_after, NEEDS_ROWS where the stage is "tflite", and RUNTIME where it is "storage"."""
    folder = ROOT / "lwdash" / "techniques"
    with_name = {
        p.stem for p in folder.glob("*.py") if re.search(r'^NAME = "[a-z]', p.read_text(), re.MULTILINE)
    }
    assert {t.__name__.rpartition(".")[2] for t in TECHNIQUES.values()} == with_name
    for name, technique in TECHNIQUES.items():
        for attribute in ("NAME", "LABEL", "SUMMARY", "TRAP", "STAGE", "Params", "apply"):
            assert hasattr(technique, attribute), f"{name} has no {attribute}"
        assert hasattr(technique, "NEEDS_ROWS") == (technique.STAGE == "tflite"), name
        assert hasattr(technique, "RUNTIME") == (technique.STAGE == "storage"), name


def test_unit_tests_mirror_the_packages() -> None:
    """tests/unit/measure/ tests lwdash/measure/, tests/unit/storage/ tests storage/, test_recipe.py tests recipe.py."""
    unit = ROOT / "tests" / "unit"
    for path in sorted(unit.rglob("test_*.py")):
        place = path.relative_to(unit).parent
        if place == Path():
            module = ROOT / "lwdash" / path.name.removeprefix("test_")
            assert module.exists(), (
                f"{path.name} belongs into a folder of tests/unit, named like one of lwdash/"
            )
        else:
            home = ROOT if place.parts[0] == "storage" else ROOT / "lwdash"
            assert (home / place).is_dir(), f"tests/unit/{place} mirrors no folder of lwdash/"


def test_parts_shared_by_tests_are_in_support() -> None:
    """Imported as `support.seeding`: a module that has two names is loaded twice."""
    tests = ROOT / "tests"
    shared = {path.stem for path in (tests / "support").glob("*.py")}
    assert {p.name for p in tests.glob("*.py") if not p.name.startswith("test_")} == {"conftest.py"}
    for path in tests.rglob("*.py"):
        others = {name.split(".")[0] for name in read(path).imports}
        assert not others & shared, f"{path.relative_to(ROOT)}: import {others & shared} from `support`"


def test_tests_need_nothing_beside_the_project() -> None:
    """No file outside of the checkout, no path of one machine."""
    shared = "/".join(["", "work", ""])
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text()
        assert shared not in text, path
        assert "../" + "shared" not in text, path
