"""Terms of the field that are neither techniques nor metrics, as entries of the glossary."""

from lwdash.ui.glossary.glossary_entry import TERM, Entry

TERMS: tuple[Entry, ...] = (
    Entry(
        "storage-form",
        "Storage form",
        TERM,
        "The bytes in which a finished network is kept: the plain .tflite, sparse, look-up tables, or coded. "
        "The outputs are the same in each; a recipe can end in one of them.",
        "LiteRT reads plain and sparse files. TensorFlow Lite Micro reads plain files and look-up tables. "
        "Compilers for NPUs read plain files. Nothing reads a coded or gzipped file: it is unpacked first.",
    ),
    Entry(
        "baseline",
        "Baseline",
        TERM,
        "The unchanged model in 32-bit floats, as a .tflite. Every run is compared with it.",
        "It is checked against the Keras model. A difference between the two is shown, and is not caused "
        "by a recipe.",
    ),
    Entry(
        "fast-kernels",
        "Fast kernels (XNNPACK)",
        TERM,
        "The part of LiteRT that runs most operators of a file, several times faster than its built-in "
        "kernels. A run shows the number of operators outside it, and the number of parts that the graph "
        "is split into.",
        "It does not support depthwise convolutions with dynamic activations, 4-bit convolutions, or "
        "16-bit activations. If possible, dynamic stores weights in a form that lets it run all "
        "operators.",
    ),
    Entry(
        "recipe",
        "Recipe",
        TERM,
        "A way to compress, as text: steps joined by +, such as prune(sparsity=0.8) + int8. Applying a "
        "recipe to an experiment is a run.",
    ),
    Entry(
        "experiment",
        "Experiment",
        TERM,
        (
            "The properties that make runs comparable: the model, the data, its reading and split, and "
            "the task."
        ),
    ),
    Entry(
        "quantization",
        "Quantization",
        TERM,
        "Numbers stored as small integers: real = scale · (integer − zero point). Weights have one scale "
        "per channel, activations one per tensor.",
    ),
    Entry(
        "scale",
        "Scale and zero point",
        TERM,
        "The step between two integers, and the integer that stands for 0.",
        "A tensor with one scale has 256 levels for its whole range. One outlier makes all steps larger.",
    ),
    Entry(
        "calibration",
        "Calibration",
        TERM,
        "Running the model on representative rows to find the range of each activation. These rows are a "
        "separate part.",
        "Rows with another scaling than in use give wrong ranges, and a bad file without any error message.",
    ),
    Entry(
        "evaluation",
        "Evaluation rows",
        TERM,
        "The part of the data on which every metric is measured. No run uses them before.",
        "If the original model was trained on this data, all metrics are too good, for any split here.",
    ),
    Entry(
        "verdict",
        "Verdict",
        TERM,
        "Better, worse, equivalent, or cannot tell (not significant): for classes by McNemar's exact "
        "test on the rows that changed, for errors by a paired bootstrap.",
        "“Not significant” is about the number of rows, not about the run. Add rows for a clearer result.",
    ),
    Entry(
        "interval",
        "95 % interval",
        TERM,
        "The range of the metric on other rows like these, 19 times out of 20. For an accuracy it is "
        "Wilson's, with continuity correction, so that it holds at every accuracy.",
    ),
    Entry(
        "pareto",
        "Pareto front",
        TERM,
        "The runs that no other run beats in both axes of the chart.",
        "With many runs, some are on the front by chance. Check their verdicts.",
    ),
    Entry(
        "search",
        "Search",
        TERM,
        "lwdash chooses recipes, a few at a time, and uses the measured runs to choose the next. Gaussian "
        "processes predict the quality and the metric to improve (size of the .tflite, of its gzipped or coded form, "
        "latency, arena) from prior knowledge of each technique and from every run of the experiment, whoever "
        "started it. Limits are constraints. A run is stopped early where its training has lost more accuracy than the "
        "limit allows and later steps recover.",
        "Selection bias: the best of many runs on the same rows looks better than it is. If rows are "
        "right or wrong, the bias is estimated: the rows are resampled, the choice is repeated each "
        "time, and the run is tested on the rows left out (Efron's .632 bootstrap).",
    ),
    Entry(
        "hybrid",
        "Hybrid file",
        TERM,
        "Integer weights with float activations, as produced by dynamic.",
        "TensorFlow Lite Micro refuses such files. Phones and PCs run them.",
    ),
    Entry(
        "arena",
        "Arena",
        TERM,
        "The block of RAM in which TensorFlow Lite Micro keeps activations and its own tables. The value "
        "here is the plan for the activations, computed as its planner does.",
        "Its tables and the kernels' scratch buffers need additional memory: some kB in small networks, "
        "often more than the activations. Files that it refuses to run (hybrid files, float16 or 4-bit "
        "weights) also have a value.",
    ),
    Entry(
        "tflm",
        "TensorFlow Lite Micro",
        TERM,
        "The interpreter for microcontrollers: a few ten kilobytes of code, without an operating system.",
        "It supports fewer operators than LiteRT on phones.",
    ),
    Entry(
        "where-it-runs",
        "Where it runs",
        TERM,
        "Each file is run in TensorFlow Lite Micro on this computer: it runs or is refused, with the arena that it takes "
        "and the rows whose outputs differ from LiteRT's. A file fits on a board if its bytes, the runtime and the "
        "kernels fit into flash, and the arena and an allowance for the stack into RAM.",
        "Your application, a radio's software and an operating system come on top. Time on this computer says nothing "
        "about time on a board.",
    ),
    Entry(
        "device",
        "Device",
        TERM,
        "Another computer that measures files: latency in rotation with the baseline, memory, outputs of a few rows. "
        "Its agent is one Python file that connects to the dashboard.",
        "Its times are comparable with the baseline's on the same device, never with those of another host.",
    ),
    Entry(
        "runtime",
        "Runtime",
        TERM,
        "The program that runs a file. LiteRT with its fast kernels, XNNPACK, is the one that lwdash measures; LiteRT "
        "without XNNPACK, OpenVINO and ONNX Runtime are targets, timed in rotation with it.",
        "A runtime that is faster on a PC says nothing about a phone or a microcontroller.",
    ),
    Entry(
        "npu",
        "NPU",
        TERM,
        "A processor for neural networks beside a microcontroller's core. Arm's compiler Vela maps a file to an Ethos-U, "
        "encodes its weights and estimates cycles.",
        "Operators that it does not take stay on the CPU, and their time is not in the estimate.",
    ),
    Entry(
        "resolver",
        "Resolver",
        TERM,
        "The list of kernels that is linked into a program for TensorFlow Lite Micro. It needs the types of operators in "
        "the file and no others.",
    ),
    Entry(
        "lost-output",
        "Lost output",
        TERM,
        "An output, or one of its numbers, whose error has more than half the variance that the original "
        "has between rows (below 3 dB), or that is constant over the rows. Below 10 dB it is called "
        "poor. A file whose outputs are all lost is rejected.",
        (
            "It can happen with a high SQNR: an output of 50,000 ± 10 that became the constant 50,000 "
            "has 74 dB."
        ),
    ),
    Entry(
        "vnni",
        "VNNI",
        TERM,
        "Instructions of newer x86 processors for fast 8-bit integer products.",
        "Without them int8 is often as slow as float32 on a PC.",
    ),
    Entry(
        "islands",
        "Float islands",
        TERM,
        "Operators without an integer form, between DEQUANTIZE and QUANTIZE.",
        "Each conversion costs time, and a microcontroller without floats cannot run them.",
    ),
    Entry(
        "deep-compression",
        "Deep Compression",
        TERM,
        "Prune, cluster, Huffman-code, with the table of kept weights and bits for each layer (Han et "
        "al. 2016, arXiv 1510.00149).",
    ),
    Entry(
        "distillation",
        "Distillation",
        TERM,
        "Fine-tuning on the original's outputs, softened by a temperature, instead of the labels or in addition to them "
        "(Hinton et al. 2015). Rows without labels and mixtures of rows can be learnt from as well.",
    ),
    Entry(
        "limits",
        "Limits",
        TERM,
        "Limits for runs: bytes, drop of accuracy, latency, arena. They judge runs and do not change them.",
        "A latency limit is compared with this host's times, not the device's.",
    ),
    Entry(
        "kb",
        "kB",
        TERM,
        "1,000 bytes, as in data sheets of flash memory. 1 KiB is 1,024.",
    ),
)
