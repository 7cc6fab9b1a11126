"""A .tflite as a C array with its header, in the style of TensorFlow Lite Micro's examples."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

BYTES_A_LINE = 12
PIECE = 12 << 12


def c_name(text: str) -> str:
    """`g_` and `text` in letters, digits and underscores: a valid name in C and C++."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").lower()[:60] or "model"
    return f"g_{plain}"


def header(name: str, size_bytes: int, notes: Mapping[str, str]) -> str:
    """The declarations: `name`, `name`_len, and the length as a macro for compile-time sizes.

    notes: lines of the comment at the top.
    """
    guard = f"{name.upper()}_H_"
    return (
        f"{_comment(notes)}\n"
        f"#ifndef {guard}\n#define {guard}\n\n"
        f"#define {name.upper()}_LEN {size_bytes}\n\n"
        '#ifdef __cplusplus\nextern "C" {\n#endif\n\n'
        f"extern const unsigned char {name}[];\nextern const int {name}_len;\n\n"
        "#ifdef __cplusplus\n}\n#endif\n\n"
        f"#endif  // {guard}\n"
    )


def source(path: Path, name: str, header_name: str, notes: Mapping[str, str]) -> Iterator[str]:
    """The definition, in pieces of some hundred kB: the file at `path`, aligned to 16 bytes, as TFLM
    requires.

    It compiles as C11 and as C++11.
    """
    size_bytes = path.stat().st_size
    yield (
        f"{_comment(notes)}\n"
        f'#include "{header_name}"\n\n'
        "#ifdef __cplusplus\n#define LWDASH_ALIGN alignas(16)\n#else\n#define LWDASH_ALIGN _Alignas(16)\n#endif\n\n"
        f"LWDASH_ALIGN const unsigned char {name}[] = {{\n"
    )
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            lines = (piece[i : i + BYTES_A_LINE] for i in range(0, len(piece), BYTES_A_LINE))
            yield "".join("    " + ", ".join(f"0x{byte:02x}" for byte in line) + ",\n" for line in lines)
    yield f"}};\n\nconst int {name}_len = {size_bytes};\n"


def _comment(notes: Mapping[str, str]) -> str:
    """Line comments. A backslash at a line's end, or its trigraph, would join the next line to it."""
    lines = (f"{key}: {' '.join(str(value).split())}".replace("??", "? ?") for key, value in notes.items())
    return "\n".join(f"// {line}".rstrip("\\ ") for line in lines) + "\n"
