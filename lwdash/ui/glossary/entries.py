"""All entries of the glossary: techniques, metrics, layer metrics, findings, and terms of the field.

The description of a technique or metric comes from its own table; common mistakes and findings are here, the terms
beside.
"""

from collections.abc import Mapping
from dataclasses import fields

from lwdash.datasets.linter.findings import CODES
from lwdash.metrics.layer_metrics import QUANTITIES
from lwdash.metrics.run_metrics import MEASURES
from lwdash.parameters import Choice, Flag, Parameter, bounds_with_unit
from lwdash.techniques import TECHNIQUES
from lwdash.ui.glossary.glossary_entry import FINDING, MEASURE, QUANTITY, TECHNIQUE, Entry
from lwdash.ui.glossary.terms import TERMS

MEASURE_TRAPS: Mapping[str, str] = {
    "size_bytes": "Zeros and repeated values are stored at full size, unless the recipe ends in a storage "
    "form such as sparse. Look at the gzip and Huffman sizes.",
    "gzip_bytes": "It is the size of a download or an over-the-air update, not the flash memory used, "
    "unless the device unpacks the file into RAM.",
    "stored_bytes": (
        "Only sparse files run in LiteRT. Look-up tables run in TensorFlow Lite Micro; coded files are unpacked "
        "before use. Without a storage form it is the size of the .tflite."
    ),
    "huffman_bytes": (
        "No runtime reads this form. It is the accounting of Deep Compression, comparable with the papers."
    ),
    "weight_bytes": (
        "In a small model the graph, names and scales can be as large as the weights. See the byte ledger."
    ),
    "smaller": "Papers often report the ratio of parameter counts. This is the ratio of file sizes.",
    "accuracy": (
        "Two runs with overlapping intervals may still differ, and the reverse. The verdict compares "
        "them row by row."
    ),
    "accuracy_change": (
        "A change is significant only above the smallest drop that these rows can detect. See the verdict."
    ),
    "macro_f1": (
        "It has no interval here: one row of a class with five rows changes it by several points. Look "
        "at the recalls."
    ),
    "mean_iou": (
        "A class with few pixels counts as much as the background, so one missed object can change it by "
        "many points."
    ),
    "rmse": (
        "It is in the unit of the labels, so it cannot be compared between data sets. Single large "
        "errors dominate it."
    ),
    "reconstruction_error": "A low error can hide that rare events are no longer distinguished. Look at their rows.",
    "mae": "It hides rare large errors, which the RMSE shows.",
    "nrmse": "It is about the worst target only. The page of a run lists all targets.",
    "worst_r2": "It is below 0 if predicting the mean would be better.",
    "variation_sqnr_db": "Below 10 dB, more than a tenth of the variance is error; below 3 dB, more than "
    "half. Such an output is lost even with a high SQNR, since the SQNR counts the "
    "mean as signal.",
    "r2": "It is high where the labels vary much, even if the error is too large for the use.",
    "agreement_generated": "It measures how similar two models are on made-up rows. Real rows may differ far more often.",
    "sqnr_generated_db": "High values do not promise accuracy: real rows may reach ranges that the generated ones do not.",
    "agreement": "It measures how similar two models are, not whether either is right.",
    "sqnr_db": "Only the largest output of a classifier counts: 20 dB can leave all classes unchanged, "
    "and 40 dB can change the close ones.",
    "kl_nats": "Only for probabilities. Overconfident models have large values for harmless changes.",
    "latency_ms_p50": "It is this host's latency, not the device's, and absolute times vary from hour to "
    "hour. Use the speed-up, which is measured interleaved with the baseline.",
    "latency_ms_p90": "On a shared host, other processes often cause the slow tenth.",
    "latency_ms_p99": "One interruption by the operating system in a hundred samples determines it.",
    "speedup": "int8 is often not faster on a PC without VNNI instructions, but several times faster on "
    "a microcontroller or phone. Files with 16-bit activations run on reference kernels here.",
    "cold_start_ms": "It matters if the model is loaded for each inference, and not if it stays loaded.",
    "arena_bytes": "It depends on the largest activations that are needed at the same time, hardly on "
    "the weights: pruning does not lower it, fewer channels do. It includes weights that "
    "a file unpacks to floats (float16, weight_only).",
    "arena_total_bytes": "It is measured on a 64-bit computer. On a 32-bit processor the runtime's own tables are "
    "smaller, and optimised kernels may need more scratch memory.",
    "micro_flash_bytes": "The file is measured, the code of runtime and kernels is assumed. Your application comes on top.",
    "npu_cycles": "Operators that stay on the CPU are not counted. Compare runs of one NPU only.",
    "npu_sram_bytes": "The program on the CPU beside the NPU needs RAM of its own.",
    "npu_flash_bytes": "Pruned and clustered weights take fewer bytes here, although their .tflite is as large as before.",
    "sparsity": (
        "Zeros save bytes in sparse and in gzipped files, but no time on ordinary kernels. Integer files "
        "also have zeros from rounding."
    ),
    "parameters": "Fewer parameters mean fewer bytes only with the same number format.",
    "macs": (
        "Fewer MACs do not save time if memory or the number of operators is the limit, as in small models."
    ),
    "run_seconds": "Cached stages take no time: the first run of a sweep pays for the others.",
}
"""Common mistakes about each metric."""

QUANTITY_TRAPS: Mapping[str, str] = {
    "bytes": "Per-channel scales cost 12 bytes per channel: in small dense layers more than they gain.",
    "weight_bytes": "Biases of integer files have 32 bits, and are included.",
    "huffman_bytes": "The code book is included. For a small kernel it can be larger than the code.",
    "bits_per_weight": "It includes biases, so it is slightly above 8 in an int8 layer.",
    "sparsity": "Rounding to 8 bits also creates zeros.",
    "distinct_values": "At most 256 in int8 with any clustering. Compare with the float file.",
    "entropy_bits": "It is the lower bound for coding value by value. Coders that use patterns may get below it.",
    "macs": "Depthwise convolutions have few MACs but still take long.",
    "time_share": (
        "Each operator is timed alone, with a warm cache, so the sum differs from the time of the whole "
        "model."
    ),
    "output_sqnr_db": "It includes the losses of all earlier layers. Look at where it falls, not at where it is low.",
    "output_sqnr_generated_db": "Real rows may reach values that the generated ones do not, and lose more there.",
    "weight_sqnr_db": "A layer with a low value may not affect the output. See the layer sensitivity.",
    "alone_db": "It is measured on calibration rows and on the output of the whole file, in the format of the analysis.",
    "gain_db": "Gains of several layers do not add up. Try them together.",
    "cycles": "Operators that Vela leaves to the CPU have no cycles. Memory traffic is a model, not a measurement.",
}

FINDINGS: Mapping[str, str] = {
    "scaled-twice": "The model scales its input itself (Rescaling, Normalization), and the data is already scaled.",
    "not-scaled": "Raw pixels 0 … 255 go into a model without its own scaling.",
    "other-units": "The model's Normalization was adapted to values with another mean and spread.",
    "beyond-range": "Values are far larger than the model's Rescaling expects, such as 16-bit pixels.",
    "transposed": "Another order of the same numbers is much smoother: columns and rows, or channels, are swapped.",
    "outliers": (
        "A few calibration rows have values far beyond all others, and take most of the 256 levels of int8."
    ),
    "uneven-units": (
        "Columns in very different units share one int8 scale. The small ones are rounded to a few levels."
    ),
    "uneven-targets": "The numbers of one output share one int8 scale. Targets in a small unit keep only "
    "a few levels, or one constant.",
    "beyond-calibration": "Evaluation rows are outside the range of the calibration rows, and are clipped.",
    "constant-columns": "A column has the same value in all rows.",
    "duplicate-columns": "Two columns have the same values in all rows.",
    "label-copy": "A column determines the label in every row: a copy of it, or an id.",
    "counts-up": "A column grows from each row to the next: a time stamp or a running number.",
    "shared-rows": (
        "The same sample is in two parts, so metrics are measured on rows used for training or calibration."
    ),
    "repeated-rows": "Rows occur more than once; they are kept together in one part.",
    "torn-labels": "The same sample has different labels in different rows.",
    "overlapping-windows": "Rows are windows of one recording that overlap, so parts are not independent.",
    "missing-classes": "A class has no row in one part, or in all.",
    "mixed-rates": "Sound files with different numbers of values per second. To the model, the same sound at another "
    "rate is another sound.",
    "other-rate": "Sound files whose length in seconds matches the model's only at another rate.",
    "generated-rows": "There is no data: the rows were generated from the model, so no accuracy is measured.",
    "few-rows": "There are so few evaluation rows that only large differences are significant.",
    "few-per-class": "There are so few rows of a class that its recall is only a rough estimate.",
    "few-calibration": "There are so few calibration rows that real values will exceed their ranges.",
    "imbalance": (
        "One class has most of the rows, or some have very few. The accuracy hides changes in the rare "
        "classes."
    ),
    "number-or-class": "Labels that could be a number to predict, or classes. The metrics depend on it.",
    "labels-contradicted": "With another order of the classes the model is right far more often. "
    "Probably the labels are not in the order of the outputs.",
    "below-chance": "The model is right less often than predictions independent of the labels.",
    "labels-untold": "The model's outputs do not confirm the order of the labels.",
}


def glossary() -> tuple[Entry, ...]:
    """All entries, group by group, each group in its table's order."""
    return (
        *(_technique(name) for name in TECHNIQUES),
        *(
            Entry(m.column, m.title, MEASURE, _sentence(m.help), MEASURE_TRAPS.get(m.column, ""))
            for m in MEASURES.values()
        ),
        *(
            Entry(
                f"layer-{q.column}", q.title, QUANTITY, _sentence(q.meaning), QUANTITY_TRAPS.get(q.column, "")
            )
            for q in QUANTITIES.values()
        ),
        *(Entry(code, title, FINDING, FINDINGS[code]) for code, title in CODES.items()),
        *TERMS,
    )


def _technique(name: str) -> Entry:
    technique = TECHNIQUES[name]
    parameters = tuple(
        (f.name, f.metadata["parameter"].label, _what(f.metadata["parameter"]), _bounds(f.metadata["parameter"]),
         f.metadata["parameter"].write(f.default) or "none")
        for f in fields(technique.Params)
    )  # fmt: skip
    return Entry(
        name, f"{technique.LABEL} ({name})", TECHNIQUE, technique.SUMMARY, technique.TRAP, parameters
    )


def _what(parameter: Parameter) -> str:
    if isinstance(parameter, Choice):
        return (
            f"{parameter.help} "
            + "; ".join(f"{key}: {words}" for key, words in parameter.options.items())
            + "."
        )
    return parameter.help


def _bounds(parameter: Parameter) -> str:
    if isinstance(parameter, Flag):
        return "true or false"
    return bounds_with_unit(parameter)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
