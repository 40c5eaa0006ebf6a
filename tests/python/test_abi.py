# SPDX-License-Identifier: MIT
"""The structs and constants of tat/_abi.py against the headers, by a C program that prints what the compiler has."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

import numpy as np
from tat import _abi
from tat._library import library

from conftest import run

HEADERS = ("analysis", "error", "filter", "format", "gguf", "io", "storage", "sums", "trace", "verify")
CONSTANTS = {
    "TAT_NO_LAYER": _abi.NO_LAYER,
    "TAT_NO_EXPERT": _abi.NO_EXPERT,
    "TAT_NO_HEAD": _abi.NO_HEAD,
    "TAT_NO_TOKEN_ID": _abi.NO_TOKEN_ID,
    "TAT_NO_ROW": _abi.NO_ROW,
    "TAT_NO_POSITION": _abi.NO_POSITION,
    "TAT_ACCESS_PHASE_SHIFT": _abi.ACCESS_PHASE_SHIFT,
    "TAT_FEATURE_PRIVATE": _abi.FEATURE_PRIVATE,
    "TAT_PHASE_COUNT": len(_abi.PHASES),
    "TAT_ROLE_COUNT": len(_abi.ROLES),
    "TAT_MEMORY_BUFFER + 1": len(_abi.MEMORIES),
    "TAT_TENSOR_INPUT + 1": len(_abi.KINDS),
    "TAT_MAX_SRC + 1": len(_abi.OPERANDS),
    "TAT_PLACES": len(_abi.PLACES),
    "TAT_WHENS": len(_abi.WHENS),
    "TAT_NO_NUMBER": _abi.NO_NUMBER,
    "TAT_NO_EVALUATION": _abi.NO_EVALUATION,
    "TAT_NO_TENSOR": _abi.NO_TENSOR,
    "TAT_NO_OP": _abi.NO_OP,
    "TAT_CHECKS_MAX": len(_abi.Verification().check),
}


def fields(struct: type[ctypes.Structure] | np.dtype) -> tuple[int, dict[str, tuple[int, int]]]:
    """Size, and offset and size by field."""
    if isinstance(struct, np.dtype):
        assert struct.fields is not None
        return struct.itemsize, {name: (f[1], f[0].itemsize) for name, f in struct.fields.items()}
    found = {name: getattr(struct, name) for name, *_ in struct._fields_}
    return ctypes.sizeof(struct), {name: (f.offset, f.size) for name, f in found.items()}


def test_structs_and_constants(tmp_path: Path) -> None:
    lines = [f'#include "tat/{name}.h"' for name in HEADERS] + ["#include <stdio.h>", "int main(void) {"]
    expected = []
    for name, struct in _abi.STRUCTS.items():
        size, members = fields(struct)
        lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
        expected.append(f"{name} {size}")
        for member, (offset, width) in members.items():
            of = f"((struct {name} *) 0)->{member}"
            lines.append(f'printf("{name}.{member} %zu %zu\\n", offsetof(struct {name}, {member}), sizeof {of});')
            expected.append(f"{name}.{member} {offset} {width}")
    for name, value in CONSTANTS.items():
        lines.append(f'printf("{name} %lld\\n", (long long) ({name}));')
        expected.append(f"{name} {value}")
    (tmp_path / "abi.c").write_text("\n".join([*lines, "return 0; }"]))
    include = Path(os.environ["SOURCE"], "include")
    run(os.environ["CC"], "-std=gnu17", "-I", include, tmp_path / "abi.c", "-o", tmp_path / "abi")
    assert run(tmp_path / "abi").splitlines() == expected


def test_every_field_is_declared() -> None:
    """The compiler cannot say which fields there are: the headers can."""
    text = "".join(Path(os.environ["SOURCE"], "include/tat", f"{name}.h").read_text() for name in HEADERS)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    for name, struct in _abi.STRUCTS.items():
        found = re.search(rf"struct {name} {{(.*?)}};", text, re.DOTALL)
        assert found, name
        names = []
        for declaration in filter(None, map(str.strip, found[1].split(";"))):
            for one in declaration.split(","):
                declared = re.search(r"(\w+)\s*(?:\[[^]]*\]\s*)*$", one.strip())
                assert declared, one
                names.append(declared[1])
        assert list(fields(struct)[1]) == names, name


def flag_names(enum: str, prefix: str, header: str = "format") -> list[str]:
    text = Path(os.environ["SOURCE"], "include/tat", f"{header}.h").read_text()
    body = re.search(rf"enum {enum} {{(.*?)}};", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL), re.DOTALL)
    assert body
    return [name.lower() for name in re.findall(rf"\b{prefix}_(\w+)\s*[=,]", body[1])]


def test_names_of_numbers() -> None:
    assert flag_names("tat_event_type", "TAT_EVENT") == list(_abi.EVENTS[1:])
    assert flag_names("tat_evaluation_flag", "TAT_EVALUATION") == list(_abi.EVALUATION_FLAGS)
    assert flag_names("tat_place", "TAT_PLACE", "storage") == list(_abi.PLACES)
    assert flag_names("tat_when", "TAT_WHEN", "storage") == list(_abi.WHENS[-2:])
    assert flag_names("tat_io_request_flag", "TAT_IO") == list(_abi.IO_REQUEST_FLAGS)
    assert flag_names("tat_io_source", "TAT_IO_SOURCE") == [*_abi.IO_SOURCES[1:], "count"]
    assert flag_names("tat_io_counter", "TAT_IO") == [*_abi.IO_COUNTERS[1:], "counter_count"]
    assert flag_names("tat_tensor_kind", "TAT_TENSOR") == [k for k in _abi.KINDS if k]


def test_the_library_shows_its_public_functions_alone() -> None:
    path = library()._name
    names = run("nm", "-D", "--defined-only", path).split()[2::3]
    assert "tat_trace_accesses" in names
    assert [name for name in names if not name.startswith("tat_")] == []
    assert "libtat.so.0" in run("readelf", "-d", path)
