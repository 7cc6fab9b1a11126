"""Every word of the pages explained once: techniques, measures, quantities of a layer, findings, and the field's terms.

What a technique, a measure or a quantity is comes from its own table; the traps, the terms and the findings are here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from lwdash.datasets.linter.findings import CODES
from lwdash.metrics.layer_metrics import QUANTITIES
from lwdash.metrics.run_metrics import MEASURES
from lwdash.parameters import Choice, Flag, Parameter
from lwdash.techniques import TECHNIQUES

TECHNIQUE, MEASURE, QUANTITY, FINDING, TERM = "Techniques", "Measures", "Of a layer", "Findings", "Terms"
GROUPS = (TECHNIQUE, MEASURE, QUANTITY, FINDING, TERM)


@dataclass(frozen=True)
class Word:
    """slug: its anchor in the glossary. text: what it is; trap: what people get wrong about it, "" where nothing.

    parameters: of a technique, (key, label, what it does, bounds, default).
    """

    slug: str
    title: str
    group: str
    text: str
    trap: str = ""
    parameters: tuple[tuple[str, str, str, str, str], ...] = ()

    def mentions(self, sought: str) -> bool:
        """Whether all words of `sought` occur in it, whatever their case."""
        text = f"{self.slug} {self.title} {self.text} {self.trap} {' '.join(p[0] for p in self.parameters)}".lower()
        return all(part in text for part in sought.lower().split())


MEASURE_TRAPS: Mapping[str, str] = {
    "size_bytes": "Pruning and clustering do not change it: zeros and repeated values take their bytes like any other. "
    "Look at the gzip and Huffman sizes.",
    "gzip_bytes": "It is what a download or an update over the air costs, not what the device's flash holds, unless the "
    "device unpacks it into RAM.",
    "huffman_bytes": "No runtime reads it as it is: it is the accounting of Deep Compression, comparable with the papers.",
    "weight_bytes": "In a small model the graph, names and scales can be as large as the weights: see the byte ledger.",
    "smaller": "A rate of parameters, as papers often give it, is another figure than the rate of bytes.",
    "accuracy": "Two runs whose intervals overlap may still differ, and the reverse: the verdict compares them row by row.",
    "accuracy_change": "Below the smallest drop that these rows could have shown, it says nothing; the verdict tells.",
    "macro_f1": "It has no interval here: one row of a class of five moves it by several points. Look at the recalls.",
    "mean_iou": "A class of few pixels counts as much as the background: one missed object can move it by many points.",
    "rmse": "It is in the unit of the labels, so it cannot be compared between data sets, and single large errors rule it.",
    "reconstruction_error": "A low error can hide that rare events are no longer told apart: look at their rows.",
    "mae": "It hides rare large errors, which the RMSE shows.",
    "nrmse": "It names the worst target, and says nothing of the others: the page of a run has them one by one.",
    "worst_r2": "It is below 0 where answering the mean would be better.",
    "variation_sqnr_db": "Below 10 dB more than a tenth of the variance is error, below 3 dB more than half: such an output "
    "is lost, however good its SQNR is, since the SQNR counts the mean as signal.",
    "r2": "It is high wherever the labels vary much, also where the error is too large for the use.",
    "agreement": "It says how much alike two models are, not whether either is right.",
    "sqnr_db": "Of a classifier only the largest output counts: 20 dB can leave every answer as it was, and 40 dB can flip "
    "the close ones.",
    "kl_nats": "Only for probabilities. Overconfident models have large values for harmless changes.",
    "latency_ms_p50": "It is this host's, not the device's, and absolute times vary from hour to hour: trust the speed-up, "
    "which is measured in turns.",
    "latency_ms_p90": "On a shared host the slow tenth is often the neighbours' work.",
    "latency_ms_p99": "One interruption by the operating system in a hundred samples makes it.",
    "speedup": "int8 is often not faster on a PC without VNNI instructions, and several times faster on a microcontroller "
    "or phone. Files with 16-bit activations run on reference kernels here.",
    "cold_start_ms": "It counts where the model is loaded for each answer, and not at all where it stays loaded.",
    "arena_bytes": "It depends on the largest activations that live at the same time, hardly on the weights: pruning "
    "does not lower it, fewer channels do. Weights that a file unpacks to floats (float16, weight_only) are in it too.",
    "sparsity": "Zeros save neither bytes nor time on ordinary kernels. Fully integer files have zeros by rounding as well.",
    "parameters": "Fewer parameters mean fewer bytes only at the same number format.",
    "macs": "Fewer MACs are not less time where memory or the number of operators is the limit, as in small models.",
    "run_seconds": "Stages that were cached take none: the first run of a sweep pays for the others.",
}
"""What people get wrong about each measure."""

QUANTITY_TRAPS: Mapping[str, str] = {
    "bytes": "Scales for each channel cost 12 bytes a channel: in small dense layers more than they are worth.",
    "weight_bytes": "Biases of integer files are 32 bits wide, and counted in.",
    "huffman_bytes": "The code book is counted in; for a small kernel it can be larger than the code.",
    "bits_per_weight": "It counts biases too, so it is a little above 8 in an int8 layer.",
    "sparsity": "Rounding to 8 bits makes zeros of its own.",
    "distinct_values": "At most 256 in int8 whatever the clustering: compare with the float file.",
    "entropy_bits": "It is the floor for coding value by value; coders that see patterns may get below.",
    "macs": "Depthwise convolutions have few MACs and take long all the same.",
    "time_share": "Each operator is timed alone, with a warm cache: the sum differs from the whole.",
    "output_sqnr_db": "It adds up what all layers before lost: look where it falls, not where it is low.",
    "weight_sqnr_db": "A layer with a low value may not matter to the output: see the sensitivity.",
}

FINDINGS: Mapping[str, str] = {
    "scaled-twice": "The model scales its input itself (Rescaling, Normalization), and the data is scaled already.",
    "not-scaled": "Raw pixels 0 … 255 go into a model without a scaling of its own.",
    "other-units": "The model's Normalization was adapted to values of another mean and spread.",
    "beyond-range": "Values are far larger than what the model's Rescaling is made for, such as 16-bit pixels.",
    "transposed": "Another order of the same numbers is much smoother: columns and rows, or channels, are swapped.",
    "outliers": "A few calibration rows reach far beyond all others and take most of the 256 levels of int8.",
    "uneven-units": "Columns in very different units share one int8 scale: the small ones are rounded to a few levels.",
    "uneven-targets": "The numbers of one output share one int8 scale: targets in a small unit are left with a few levels, "
    "or one constant.",
    "beyond-calibration": "Evaluation rows lie outside of the range that the calibration rows set, and are clipped.",
    "constant-columns": "A column has the same value in all rows.",
    "duplicate-columns": "Two columns have the same values in all rows.",
    "label-copy": "A column tells the label in every row: a copy of it, or an id.",
    "counts-up": "A column grows from each row to the next: a time stamp or a running number.",
    "shared-rows": "The same sample is in two parts, so that figures are measured on what was trained or calibrated on.",
    "repeated-rows": "Rows occur more than once; they are kept together in one part.",
    "torn-labels": "The same sample has different labels in different rows.",
    "overlapping-windows": "Rows are windows of one recording that overlap, so parts are not independent.",
    "missing-classes": "A class has no row, in all or in one part.",
    "few-rows": "So few evaluation rows that only large differences can be told.",
    "few-per-class": "So few rows of a class that its recall is a hint at most.",
    "few-calibration": "So few rows set the ranges that use will exceed them.",
    "imbalance": "One class has most of the rows, or some have hardly any: accuracy hides what happens to the rare ones.",
    "number-or-class": "Labels that could be a number to predict, or classes: what is measured depends on it.",
    "labels-contradicted": "Under another order of the classes the model is right far more often: the labels are most "
    "likely not read in the order of the outputs.",
    "below-chance": "The model is right less often than answers would be that know nothing of the labels.",
    "labels-untold": "The model's outputs do not show whether each label was read as the right output.",
}

TERMS: tuple[Word, ...] = (
    Word(
        "baseline",
        "Baseline",
        TERM,
        "The model as it is, in 32-bit floats, as a .tflite. Every run is compared with it.",
        "It is checked against the Keras model: a difference between the two is shown, and is not the "
        "fault of a recipe.",
    ),
    Word(
        "fast-kernels",
        "Fast kernels (XNNPACK)",
        TERM,
        "The part of LiteRT that runs most operators of a file, several times faster than its built-in kernels. A run "
        "shows how many operators are outside of it, and in how many parts that cuts the graph.",
        "It takes no depthwise convolution that quantizes its activations while running, no 4-bit convolution and nothing "
        "with 16-bit activations. dynamic stores weights so that it takes all operators, where that is possible.",
    ),
    Word(
        "recipe",
        "Recipe",
        TERM,
        "One way to compress, as text: steps joined by +, such as prune(sparsity=0.8) + int8. A "
        "recipe on an experiment is a run.",
    ),
    Word(
        "experiment",
        "Experiment",
        TERM,
        "What makes runs comparable: the model, the data, how its rows are read and split, and the task.",
    ),
    Word(
        "quantization",
        "Quantization",
        TERM,
        "Numbers as small integers: real = scale · (integer − zero point). Weights have a scale for "
        "each channel, activations one for the tensor.",
    ),
    Word(
        "scale",
        "Scale and zero point",
        TERM,
        "The step between two integers, and the integer that stands for 0.",
        "A tensor with one scale has 256 levels for its whole range: one outlier makes all steps larger.",
    ),
    Word(
        "calibration",
        "Calibration",
        TERM,
        "Running the model on representative rows, to see which range each activation takes. These "
        "rows are a part of their own.",
        "Rows scaled otherwise than in use give ranges that do not fit, and a bad file without any "
        "error message.",
    ),
    Word(
        "evaluation",
        "Evaluation rows",
        TERM,
        "The part of the data on which every figure is measured. No run sees them before.",
        "Data that the original model was trained on flatters all figures, whatever the split here.",
    ),
    Word(
        "verdict",
        "Verdict",
        TERM,
        "Better, worse, equivalent, or cannot tell: for classes by McNemar's exact test on the rows "
        "that flipped, for errors by a paired bootstrap.",
        "Cannot tell is about the rows, not about the run: more rows can decide it.",
    ),
    Word(
        "interval",
        "95 % interval",
        TERM,
        "Where the figure would lie on other rows like these, 19 times out of 20. Of an accuracy: Wilson's, with "
        "continuity correction, so that it holds at every accuracy.",
    ),
    Word(
        "pareto",
        "Pareto front",
        TERM,
        "The runs that no other run beats in both axes of the chart.",
        "With many runs some are on the front by luck: check their verdicts.",
    ),
    Word(
        "search",
        "Search",
        TERM,
        "lwdash chooses recipes, a few at a time, and learns from the measured runs what to try next: a tree-structured "
        "Parzen estimator for two goals at once (quality, and the size, latency or arena that is to be good), with the "
        "limits as constraints. Every run of the experiment teaches it, whoever started it.",
        "The best of many runs on the same rows looks better than it is. Where rows are right or wrong, by how much is "
        "measured: they are resampled, the choice is made anew each time, and the rows that were left out tell (Efron's "
        ".632 bootstrap).",
    ),
    Word(
        "hybrid",
        "Hybrid file",
        TERM,
        "Integer weights with float activations, as dynamic makes it.",
        "TensorFlow Lite Micro refuses such files; phones and PCs run them.",
    ),
    Word(
        "arena",
        "Arena",
        TERM,
        "The block of RAM in which TensorFlow Lite Micro keeps activations and its own tables. The figure here is the plan "
        "for the activations, computed as its planner does.",
        "Its tables and the kernels' scratch buffers come on top: in small networks some kB, often more than the "
        "activations. What it refuses to run (hybrid files, float16 or 4-bit weights) has the figure all the same.",
    ),
    Word(
        "tflm",
        "TensorFlow Lite Micro",
        TERM,
        "The interpreter for microcontrollers, a few ten kilobytes of code without an operating system.",
        "It knows fewer operators than LiteRT on phones.",
    ),
    Word(
        "lost-output",
        "Lost output",
        TERM,
        "An output, or one of its numbers, whose error has more than half the variance that the original has from row to "
        "row (below 3 dB), or that is the same in every row. Below 10 dB it is called poor. A file whose outputs are all "
        "lost is rejected.",
        "A high SQNR does not exclude it: an output of 50,000 ± 10 that became the constant 50,000 has 74 dB.",
    ),
    Word(
        "vnni",
        "VNNI",
        TERM,
        "Instructions of newer x86 processors that multiply 8-bit integers fast.",
        "Without them int8 is often as slow as float32 on a PC.",
    ),
    Word(
        "islands",
        "Float islands",
        TERM,
        "Operators without an integer form, between DEQUANTIZE and QUANTIZE.",
        "Each border costs time, and a microcontroller without floats cannot run them.",
    ),
    Word(
        "deep-compression",
        "Deep Compression",
        TERM,
        "Prune, cluster, Huffman-code, with the table of kept weights and bits for each layer (Han et "
        "al. 2016, arXiv 1510.00149).",
    ),
    Word(
        "distillation",
        "Distillation",
        TERM,
        "Fine-tuning on the original's answers, softened by a temperature, besides the labels (Hinton "
        "et al. 2015).",
    ),
    Word(
        "limits",
        "Limits",
        TERM,
        "What a run must keep to: bytes, drop of accuracy, latency, arena. They judge runs and do not "
        "change them.",
        "A latency limit is held against this host's times, not the device's.",
    ),
    Word(
        "kb",
        "kB",
        TERM,
        "1,000 bytes, as data sheets count flash; 1 KiB is 1,024.",
    ),
)


def glossary() -> tuple[Word, ...]:
    """All words, group by group, each group in its table's order."""
    return (
        *(_technique(name) for name in TECHNIQUES),
        *(
            Word(m.column, m.title, MEASURE, _sentence(m.help), MEASURE_TRAPS.get(m.column, ""))
            for m in MEASURES.values()
        ),
        *(
            Word(
                f"layer-{q.column}", q.title, QUANTITY, _sentence(q.meaning), QUANTITY_TRAPS.get(q.column, "")
            )
            for q in QUANTITIES.values()
        ),
        *(Word(code, title, FINDING, FINDINGS[code]) for code, title in CODES.items()),
        *TERMS,
    )


def _technique(name: str) -> Word:
    technique = TECHNIQUES[name]
    parameters = tuple(
        (f.name, f.metadata["parameter"].label, _what(f.metadata["parameter"]), _bounds(f.metadata["parameter"]),
         f.metadata["parameter"].write(f.default) or "none")
        for f in fields(technique.Params)
    )  # fmt: skip
    return Word(name, f"{technique.LABEL} ({name})", TECHNIQUE, technique.SUMMARY, technique.TRAP, parameters)


def _what(parameter: Parameter) -> str:
    if isinstance(parameter, Choice):
        return (
            f"{parameter.help} "
            + "; ".join(f"{key}: {words}" for key, words in parameter.options.items())
            + "."
        )
    return parameter.help


def _bounds(parameter: Parameter) -> str:
    unit = getattr(parameter, "unit", "")
    if isinstance(parameter, Flag):
        return "true or false"
    return f"{parameter.bounds} {unit}".strip()


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
