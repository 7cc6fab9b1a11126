"""The metrics that each kind of target offers as axes, limits and goals of a search."""

from lwdash.metrics.offers import Offer

OTHER_HOST = "never comparable with another host's"


def _bytes(name: str, what: str, help: str, like: str, same_as: str | None = None) -> Offer:
    return Offer(
        name, f"{what}, {{target}}", f"{what}, {{target}} (kB)", "kB", "KB", help, like, 1e-3, same_as=same_as
    )


def _latency(label: str, heading: str, help: str) -> Offer:
    return Offer("latency_ms_p50", label, heading, "µs", "US", f"{help}, {OTHER_HOST}", "latency_ms_p50", 1e3)


def _rows(where: str, what: str) -> Offer:
    text = f"Rows that differ {where} {{target}}"
    return Offer("rows_differing", text, text, "", "ROWS", what, "accuracy_drop", digits=0)


MICRO = (
    _bytes("arena_total_bytes", "Arena", "RAM that TensorFlow Lite Micro took when it ran the file",
           "arena_bytes", "arena_total_bytes"),
    _bytes("arena_head_bytes", "Arena for activations", "The part of the arena that activations share", "arena_bytes"),
    _bytes("arena_tail_bytes", "Arena for tables", "The part of the arena that the runtime's own tables take",
           "arena_bytes"),
)  # fmt: skip
"""Of TensorFlow Lite Micro."""
NPU = (
    Offer("npu_cycles", "NPU cycles, {target}", "NPU cycles, {target}", "", "CYCLES", "Estimated by Arm's compiler Vela",
          "npu_cycles", digits=0, same_as="npu_cycles"),
    Offer("inferences_per_second", "Inferences a second, {target}", "Inferences a second, {target}", "1/s", "RATE",
          "Estimated by Arm's compiler Vela at the clock of this configuration", "npu_cycles", is_higher_better=True),
    _bytes("sram_bytes", "SRAM", "RAM that the network takes beside the NPU", "arena_bytes", "npu_sram_bytes"),
    _bytes("flash_bytes", "Flash", "Constants of the compiled file, with encoded weights", "gzip_bytes",
           "npu_flash_bytes"),
)  # fmt: skip
"""Of an Arm Ethos-U."""
DEVICE = (
    _latency("Latency p50 on {target}", "p50 on {target} (µs)", "Median latency on this device"),
    Offer("speedup", "Speed-up on {target}", "Speed-up on {target}", "×", "TIMES",
          "Against the baseline on the same device, measured in rotation", "latency_ms_p50", digits=2,
          is_higher_better=True),
    _bytes("added_memory_bytes", "Memory", "Resident memory that the file added to a process there", "arena_bytes"),
    _rows("on", "Rows with other outputs than LiteRT's on the dashboard's host"),
)  # fmt: skip
"""Of another computer with an agent."""
RUNTIME = (
    _latency("Latency p50 in {target}", "p50 in {target} (µs)", "Median latency in this runtime"),
    Offer("speedup", "{target} / LiteRT", "{target} / LiteRT", "×", "TIMES",
          "Speed against LiteRT with XNNPACK for the same file, measured in rotation", "latency_ms_p50", digits=2,
          is_higher_better=True),
    _rows("in", "Rows with other outputs than LiteRT's"),
)  # fmt: skip
"""Of another runtime on this host."""
