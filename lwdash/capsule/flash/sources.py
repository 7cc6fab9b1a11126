"""The C++ sources of a project to flash, as text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lwdash.capsule.flash.operators import resolver_function

ALIGNMENT = 16
VALUES_A_LINE = 12
_TYPES = {
    "int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t", "float32": "float",
    "bool": "bool",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PortRows:
    """An input or output with its test rows as the file stores them: (rows, *shape). scale: None for a float."""

    name: str
    values: np.ndarray
    scale: float | None
    zero_point: int | None

    @property
    def c_type(self) -> str:
        return _TYPES[str(self.values.dtype)]

    @property
    def size(self) -> int:
        """Number of values of one row."""
        return int(np.prod(self.values.shape[1:], dtype=int))


def settings_header(
    inputs: Sequence[PortRows], outputs: Sequence[PortRows], arena_bytes: int, rows: int
) -> str:
    """`model_settings.h`: arena, sizes and quantization constants. arena_bytes: as TensorFlow Lite Micro took it."""
    lines = [
        "// Constants of the model. real = scale * (stored - zero point).",
        "#ifndef MODEL_SETTINGS_H_\n#define MODEL_SETTINGS_H_\n",
        "// RAM that TensorFlow Lite Micro took on a 64-bit computer, rounded up to 16 bytes.",
        f"constexpr int kArenaBytes = {-(-arena_bytes // ALIGNMENT) * ALIGNMENT};",
        f"constexpr int kTestRows = {rows};",
    ]
    for word, ports in (("Input", inputs), ("Output", outputs)):
        lines.append(f"constexpr int k{word}s = {len(ports)};")
        for number, port in enumerate(ports):
            name = f"k{word}{number}"
            lines += ["", f"// {word.lower()} {number}: {_one_line(port.name)}, {port.c_type}"]
            lines.append(f"constexpr int {name}Size = {port.size};")
            if port.scale is not None:
                lines.append(f"constexpr float {name}Scale = {_float(port.scale)};")
                lines.append(f"constexpr int {name}ZeroPoint = {port.zero_point};")
    return "\n".join([*lines, "\n#endif  // MODEL_SETTINGS_H_", ""])


def rows_header(inputs: Sequence[PortRows], outputs: Sequence[PortRows]) -> str:
    """`test_rows.h`: declarations of the arrays with inputs and expected outputs."""
    arrays = "\n".join(f"extern {_declared(port, name)};" for name, port in _named(inputs, outputs))
    return (
        "// The first evaluation rows as the model stores them, and the outputs that TensorFlow Lite Micro gave.\n"
        "#ifndef TEST_ROWS_H_\n#define TEST_ROWS_H_\n\n#include <cstdint>\n\n#include \"model_settings.h\"\n\n"
        f"{arrays}\n\n#endif  // TEST_ROWS_H_\n"
    )  # fmt: skip


def rows_source(inputs: Sequence[PortRows], outputs: Sequence[PortRows]) -> str:
    """`test_rows.cc`: the arrays, row after row."""
    parts = ['#include "test_rows.h"\n']
    for name, port in _named(inputs, outputs):
        values = [_value(value) for value in port.values.reshape(-1)]
        lines = (", ".join(values[i : i + VALUES_A_LINE]) for i in range(0, len(values), VALUES_A_LINE))
        body = "".join(f"    {line},\n" for line in lines)
        parts.append(f"{_declared(port, name)} = {{\n{body}}};\n")
    return "\n".join(parts)


def program(
    inputs: Sequence[PortRows], outputs: Sequence[PortRows], operators: Sequence[str], array: str
) -> str:
    """`main.cc`: runs the test rows and compares the outputs. operators: types; array: name of the model's array."""
    added = "\n".join(
        f"  if (resolver.{resolver_function(kind)}() != kTfLiteOk) return false;" for kind in operators
    )
    copied = "\n".join(
        f"    std::memcpy(interpreter.input({i})->data.raw, kInput{i}Rows + row * kInput{i}Size,\n"
        f"                kInput{i}Size * sizeof(kInput{i}Rows[0]));"
        for i in range(len(inputs))
    )
    compared = "\n".join(
        f"    is_equal &= SameOutput(interpreter.output({i})->data.raw, kOutput{i}Rows + row * kOutput{i}Size,\n"
        f"                           kOutput{i}Size, {_tolerance(port)});"
        for i, port in enumerate(outputs)
    )
    return _PROGRAM.format(
        header=f"{array}.h", array=array, count=len(operators), added=added, copied=copied, compared=compared
    )


_PROGRAM = """// Runs the test rows of the model and compares the outputs with those of TensorFlow Lite Micro on a computer.
// Integer outputs may differ by one step: optimised kernels may round another way.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "{header}"
#include "model_settings.h"
#include "test_rows.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {{

alignas(16) uint8_t arena[kArenaBytes];

using Resolver = tflite::MicroMutableOpResolver<{count}>;

bool AddOperators(Resolver& resolver) {{
{added}
  return true;
}}

template <typename T>
bool SameOutput(const void* output, const T* expected, int size, double tolerance) {{
  const T* values = static_cast<const T*>(output);
  for (int i = 0; i < size; ++i) {{
    const double distance = std::fabs(static_cast<double>(values[i]) - static_cast<double>(expected[i]));
    if (!(distance <= tolerance)) return false;
  }}
  return true;
}}

// The number of rows with other outputs; -1 where the model does not start.
int RunRows() {{
  tflite::InitializeTarget();
  const tflite::Model* model = tflite::GetModel({array});
  if (model->version() != TFLITE_SCHEMA_VERSION) {{
    std::printf("the schema version of the model is not the one of the library\\n");
    return -1;
  }}
  static Resolver resolver;
  if (!AddOperators(resolver)) return -1;
  static tflite::MicroInterpreter interpreter(model, resolver, arena, kArenaBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk) {{
    std::printf("the tensors do not fit into %d bytes: raise kArenaBytes\\n", kArenaBytes);
    return -1;
  }}
  int differing = 0;
  for (int row = 0; row < kTestRows; ++row) {{
{copied}
    if (interpreter.Invoke() != kTfLiteOk) {{
      std::printf("row %d: the inference failed\\n", row);
      return -1;
    }}
    bool is_equal = true;
{compared}
    std::printf("row %d: %s\\n", row, is_equal ? "equal" : "DIFFERENT");
    differing += is_equal ? 0 : 1;
  }}
  std::printf("%d of %d rows differ; arena: %d bytes used\\n", differing, kTestRows,
              static_cast<int>(interpreter.arena_used_bytes()));
  return differing;
}}

}}  // namespace

#if defined(ARDUINO)
void setup() {{ RunRows(); }}
void loop() {{}}
#elif defined(ESP_PLATFORM)
extern "C" void app_main() {{ RunRows(); }}
#else
int main() {{ return RunRows() == 0 ? 0 : 1; }}
#endif
"""


def _named(inputs: Sequence[PortRows], outputs: Sequence[PortRows]) -> list[tuple[str, PortRows]]:
    return [
        (f"k{word}{number}Rows", port)
        for word, ports in (("Input", inputs), ("Output", outputs))
        for number, port in enumerate(ports)
    ]


def _declared(port: PortRows, name: str) -> str:
    return f"const {port.c_type} {name}[{max(1, port.values.size)}]"


def _tolerance(port: PortRows) -> str:
    """One step of an integer; of floats a share of the largest value, since sums in another order differ."""
    if port.values.dtype.kind != "f":
        return "1.0"
    return repr(1e-4 * max(1e-6, float(np.abs(port.values).max(initial=0.0))))


def _value(value: np.generic) -> str:
    if isinstance(value, np.floating):
        return _float(float(value))
    return str(int(value)) if not isinstance(value, np.bool_) else str(bool(value)).lower()


def _float(value: float) -> str:
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _one_line(text: str) -> str:
    """Text for a comment: a backslash at a line's end would join the next line to it."""
    return "".join(sign if sign.isprintable() else " " for sign in text).rstrip("\\ ").replace("??", "? ?")
