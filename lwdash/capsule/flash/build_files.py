"""Build files and README of a project to flash."""

from collections.abc import Sequence

CMAKE = """# Builds the program with a source tree of TensorFlow Lite Micro:
#   python tensorflow/lite/micro/tools/project_generation/create_tflm_tree.py TREE   (in a checkout of tflite-micro)
#   cmake -B build -DTFLM_TREE=TREE && cmake --build build && build/model_test
# For a microcontroller, add -DCMAKE_TOOLCHAIN_FILE=... and generate the tree with its optimised kernels.
cmake_minimum_required(VERSION 3.16)
project(model_test CXX C)

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(TFLM_TREE "" CACHE PATH "Source tree of TensorFlow Lite Micro")
if(NOT EXISTS "${{TFLM_TREE}}/tensorflow/lite/micro/micro_interpreter.h")
  message(FATAL_ERROR "TFLM_TREE is no tree of TensorFlow Lite Micro: '${{TFLM_TREE}}'. See README.md")
endif()

file(GLOB_RECURSE TFLM_SOURCES "${{TFLM_TREE}}/tensorflow/*.cc" "${{TFLM_TREE}}/tensorflow/*.cpp"
     "${{TFLM_TREE}}/tensorflow/*.c" "${{TFLM_TREE}}/signal/*.cc" "${{TFLM_TREE}}/third_party/*.c"
     "${{TFLM_TREE}}/third_party/*.cc")
add_library(tflm STATIC ${{TFLM_SOURCES}})
target_compile_definitions(tflm PUBLIC TF_LITE_STATIC_MEMORY)
target_include_directories(tflm PUBLIC
  "${{TFLM_TREE}}" "${{TFLM_TREE}}/third_party/flatbuffers/include" "${{TFLM_TREE}}/third_party/gemmlowp"
  "${{TFLM_TREE}}/third_party/kissfft" "${{TFLM_TREE}}/third_party/ruy")

add_executable(model_test src/main.cc src/{array}.cc src/test_rows.cc)
target_link_libraries(model_test PRIVATE tflm)
"""

PLATFORMIO = """; Copy the source tree of TensorFlow Lite Micro (README.md) to lib/tflm, then:
; pio run -t upload && pio device monitor
[platformio]
src_dir = src

[env]
build_unflags = -std=gnu++11
build_flags =
    -std=gnu++17
    -DTF_LITE_STATIC_MEMORY
    -Ilib/tflm
    -Ilib/tflm/third_party/flatbuffers/include
    -Ilib/tflm/third_party/gemmlowp
    -Ilib/tflm/third_party/ruy
    -Ilib/tflm/third_party/kissfft

[env:native]
platform = native

[env:esp32-s3]
platform = espressif32
board = esp32-s3-devkitc-1
framework = espidf
"""

README = """# {title}

A program that runs this model with TensorFlow Lite Micro on the first {rows} evaluation rows, and compares the outputs with
those that the library gave on a computer. {made_by}.

| file | content |
|---|---|
| `src/{array}.cc`, `.h` | the model as a C array, {file_bytes:,} bytes |
| `src/model_settings.h` | arena, sizes, scales and zero points of inputs and outputs |
| `src/test_rows.cc`, `.h` | test rows and expected outputs, as the model stores them |
| `src/main.cc` | a resolver with the {count} types of operators of the model ({operators}); runs the rows |
| `CMakeLists.txt`, `platformio.ini` | build files |

## Build

1. Get the library: `git clone https://github.com/tensorflow/tflite-micro`, and in it
   `python3 tensorflow/lite/micro/tools/project_generation/create_tflm_tree.py /path/to/tree`
   (for a Cortex-M: `--makefile_options "TARGET=cortex_m_generic TARGET_ARCH=cortex-m4 OPTIMIZED_KERNEL_DIR=cmsis_nn"`).
2. On a computer: `cmake -B build -DTFLM_TREE=/path/to/tree && cmake --build build && build/model_test`.
3. On a board: PlatformIO with the tree in `lib/tflm`, or the files of `src` in a project of your board's SDK.

The program prints a line for each row; it ends with 0 where all outputs are equal, up to one step of an integer output.

## Memory

TensorFlow Lite Micro took {arena_bytes:,} bytes for this model ({version}, reference kernels, 64-bit computer).
On a 32-bit processor its own structures are smaller; optimised kernels may need scratch memory. The program prints what
it took: set `kArenaBytes` to that.
"""


def build_files(
    *,
    title: str,
    array: str,
    rows: int,
    file_bytes: int,
    arena_bytes: int,
    operators: Sequence[str],
    version: str,
    made_by: str,
) -> dict[str, str]:
    """Path in the project → text. array: name of the model's C array and of its files."""
    readme = README.format(
        title=title, array=array, rows=rows, file_bytes=file_bytes, arena_bytes=arena_bytes, count=len(operators),
        operators=", ".join(operators), version=version, made_by=made_by,
    )  # fmt: skip
    return {"CMakeLists.txt": CMAKE.format(array=array), "platformio.ini": PLATFORMIO, "README.md": readme}
