# SPDX-License-Identifier: MIT
"""What include/tat/*.h declares, for ctypes and numpy. tests/python/test_abi.py holds it against the headers."""

from __future__ import annotations

import ctypes as c
from typing import Any

import numpy as np

NO_LAYER = 0xFFFF
NO_EXPERT = 0xFFFF
NO_HEAD = 0xFFFF
NO_TOKEN_ID = -1
NO_ROW = 0xFFFFFFFF
NO_POSITION = -(2**63)

#: struct tat_access: 64 bytes.
ACCESS = np.dtype(
    [
        ("start_ns", "<u8"),
        ("offset", "<u8"),
        ("bytes", "<u8"),
        ("duration_ns", "<u4"),
        ("tensor", "<u4"),
        ("evaluation", "<u4"),
        ("node", "<u4"),
        ("token", "<u4"),
        ("rows", "<u4"),
        ("layer", "<u2"),
        ("op", "<u2"),
        ("expert", "<u2"),
        ("head_first", "<u2"),
        ("head_count", "<u2"),
        ("layout", "<u2"),
        ("operand", "u1"),
        ("kind", "u1"),
        ("flags", "<u2"),
    ]
)
ACCESS_WRITE = 1 << 0
ACCESS_FUSED = 1 << 1
ACCESS_STRIDED = 1 << 2
ACCESS_APPROXIMATE = 1 << 3
ACCESS_UNREAD = 1 << 4
ACCESS_UNTIMED = 1 << 5
ACCESS_PHASE_SHIFT = 8

#: struct tat_wait: 16 bytes.
WAIT = np.dtype([("ns", "<u8"), ("evaluation", "<u4"), ("node", "<u4")])

#: struct tat_token: 24 bytes.
TOKEN = np.dtype([("evaluation", "<u4"), ("row", "<u4"), ("token", "<u4"), ("id", "<i4"), ("position", "<i8")])

#: struct tat_selection: 20 bytes.
SELECTION = np.dtype(
    [
        ("evaluation", "<u4"),
        ("row", "<u4"),
        ("gate", "<f4"),
        ("layer", "<u2"),
        ("slot", "<u2"),
        ("expert", "<u2"),
        ("zero", "<u2"),
    ]
)

#: struct tat_placed: 72 bytes.
PLACED = np.dtype(
    [
        ("begin_ns", "<i8"),
        ("end_ns", "<i8"),
        ("offset", "<u8"),
        ("bytes", "<u8"),
        ("in_vain", "<u8"),
        ("event", "<u4"),
        ("file", "<u4"),
        ("tensor", "<u4"),
        ("evaluation", "<u4"),
        ("node", "<u4"),
        ("token", "<u4"),
        ("layer", "<u2"),
        ("expert", "<u2"),
        ("op", "<u2"),
        ("place", "u1"),
        ("when", "u1"),
    ]
)
#: What an event was for, as enum tat_place counts.
PLACES = (
    "operation", "ahead", "outside", "unwanted", "loaded", "header", "in_vain", "unknown", "no_weight", "other_file",
    "no_file", "other_process", "elsewhere", "other_disk", "metadata", "write", "failed",
)  # fmt: skip
#: struct tat_io_fault.
IO_FAULT = np.dtype(
    {
        "names": ["end_ns", "duration_ns", "preempted_ns", "address", "pid", "tid", "flags"],
        "formats": ["<u8", "<u8", "<u8", "<u8", "<u4", "<u4", "<u4"],
        "offsets": [0, 8, 16, 24, 32, 36, 40],
        "itemsize": 48,
    }
)
#: struct tat_io_pages, struct tat_io_request, struct tat_io_counter_value, and what they have parts of.
IO_PAGES = np.dtype(
    {
        "names": ["ns", "first", "count", "file", "pid", "tid", "left"],
        "formats": ["<u8", "<u8", "<u8", "<u4", "<u4", "<u4", "?"],
        "offsets": [0, 8, 16, 24, 28, 32, 36],
        "itemsize": 40,
    }
)
IO_REQUEST = np.dtype(
    [
        ("end_ns", "<u8"),
        ("duration_ns", "<u8"),
        ("disk", "<u8"),
        ("disk_offset", "<u8"),
        ("bytes", "<u8"),
        ("pid", "<u4"),
        ("flags", "<u4"),
    ]
)
IO_COUNTER_VALUE = np.dtype(
    {
        "names": ["ns", "value", "counter"],
        "formats": ["<u8", "<u8", "<u4"],
        "offsets": [0, 8, 16],
        "itemsize": 24,
    }
)
IO_EXTENT = np.dtype([("file_offset", "<u8"), ("disk_offset", "<u8"), ("bytes", "<u8")])
IO_RUN = np.dtype([("first", "<u8"), ("count", "<u8")])
IO_REQUEST_FLAGS = ("write", "read_ahead", "metadata", "failed")
IO_SOURCES = ("", "faults", "pages", "requests", "residency", "counters")
IO_COUNTERS = (
    "", "read_bytes", "read_call_bytes", "major_faults", "minor_faults", "delay_ns", "file_resident_bytes",
    "anon_resident_bytes", "locked_bytes", "swap_bytes", "pressure_io_ns", "pressure_memory_ns", "group_bytes",
    "group_limit_bytes", "group_filled_bytes", "group_major_faults", "group_read_bytes", "disk_read_bytes",
    "tracer_read_bytes", "run_read_bytes", "run_major_faults", "run_minor_faults",
)  # fmt: skip

NO_NUMBER = 0xFFFFFFFF
NO_EVALUATION = NO_TENSOR = NO_NUMBER
NO_OP = 0xFFFF
IO_MAJOR = 1 << 0

PHASES = ("warmup", "prompt", "generate", "mixed", "other", "verify", "unknown")
#: What load, warm-up and graphs without tokens never mix into.
INFERENCE = ("prompt", "generate", "mixed", "verify", "unknown")
#: When something happened, as enum tat_when counts.
WHENS = (*PHASES, "loading", "between")
ROLES = ("", "q", "k", "v", "o")
MEMORIES = ("", "file", "copy", "kv", "buffer")
PARTS = ("unknown", "model", "adapter", "control vector", "projector", "unknown format", "draft")
KINDS = ("", "weight", "state", "activation", "input")
OPERANDS = ("dst", *(f"src{i}" for i in range(16)))
EVALUATION_FLAGS = ("aborted", "unmatched", "relearned", "cut", "outside", "exact")
EVENTS = (
    "", "clock", "mapping", "model_file", "load_begin", "load_end", "open_model", "memory_clear", "perf_reset",
    "warmup", "call_begin", "call_end", "context", "note", "memory_set", "buffer_alloc", "buffer_free",
    "own_read", "usage", "machine",
)  # fmt: skip


class Error(c.Structure):
    """struct tat_error."""

    _fields_ = [("kind", c.c_int), ("message", c.c_char * 1024)]


class Tensor(c.Structure):
    """struct tat_tensor."""

    _fields_ = [
        ("name", c.c_char_p),
        ("type_name", c.c_char_p),
        ("buffer_name", c.c_char_p),
        ("kind", c.c_int),
        ("memory", c.c_int),
        ("component", c.c_int),
        ("role", c.c_int),
        ("type", c.c_uint32),
        ("block", c.c_uint32),
        ("block_bytes", c.c_uint32),
        ("occurrence", c.c_uint32),
        ("layer", c.c_uint16),
        ("file", c.c_uint32),
        ("file_offset", c.c_uint64),
        ("ne", c.c_uint64 * 4),
        ("nb", c.c_uint64 * 4),
        ("bytes", c.c_uint64),
        ("address", c.c_uint64),
        ("buffer", c.c_uint64),
        ("weight", c.c_uint32),
    ]


class Evaluation(c.Structure):
    """struct tat_evaluation."""

    _fields_ = [
        ("begin_ns", c.c_uint64),
        ("end_ns", c.c_uint64),
        ("template_id", c.c_uint32),
        ("context", c.c_uint32),
        ("flags", c.c_uint32),
        ("rule", c.c_uint32),
        ("status", c.c_int32),
        ("n_threads", c.c_uint32),
        ("thread", c.c_uint32),
        ("n_callbacks", c.c_uint32),
        ("n_stamps", c.c_uint32),
        ("token_first", c.c_uint32),
        ("n_tokens", c.c_uint32),
        ("n_outputs", c.c_uint32),
        ("phase", c.c_int),
        ("n_waits", c.c_uint32),
    ]


class Event(c.Structure):
    """struct tat_event."""

    _fields_ = [
        ("type", c.c_int),
        ("at_ns", c.c_int64),
        ("at_tick", c.c_uint64),
        ("thread", c.c_uint32),
        ("value", c.c_uint64 * 9),
        ("text", c.c_char_p),
    ]


class ModelFile(c.Structure):
    """struct tat_model_file."""

    _fields_ = [
        ("path", c.c_char_p),
        ("model", c.c_uint32),
        ("part", c.c_uint32),
        ("size", c.c_uint64),
        ("mtime_ns", c.c_int64),
        ("header_hash", c.c_uint64),
        ("model_hash", c.c_uint64),
        ("holds", c.c_int),
        ("architecture", c.c_char_p),
    ]


class Model(c.Structure):
    """struct tat_model."""

    _fields_ = [
        ("name", c.c_char_p),
        ("path", c.c_char_p),
        ("architecture", c.c_char_p),
        ("part", c.c_int),
        ("number", c.c_uint32),
        ("of", c.c_uint32),
        ("n_files", c.c_uint32),
        ("n_evaluations", c.c_uint32),
        ("bytes", c.c_uint64),
        ("is_chosen", c.c_bool),
    ]


class Layout(c.Structure):
    """struct tat_layout."""

    _fields_ = [("run_bytes", c.c_uint64), ("stride", c.c_uint64)]


class Choice(c.Structure):
    """struct tat_choice."""

    _fields_ = [
        ("evaluations", c.c_void_p),
        ("tensors", c.c_void_p),
        ("layers", c.c_void_p),
        ("experts", c.c_void_p),
    ]


class FileHeader(c.Structure):
    """struct tat_file_header."""

    _fields_ = [
        ("magic", c.c_char * 8),
        ("version", c.c_uint32),
        ("header_bytes", c.c_uint32),
        ("byte_order", c.c_uint32),
        ("file_kind", c.c_uint32),
        ("features", c.c_uint64),
        ("start_realtime_ns", c.c_uint64),
        ("start_monotonic_ns", c.c_uint64),
        ("start_tick", c.c_uint64),
        ("ticks_per_second", c.c_uint64),
        ("clock", c.c_uint32),
        ("stamp_shift", c.c_uint32),
        ("pid", c.c_uint32),
        ("page_bytes", c.c_uint32),
        ("run_id", c.c_uint8 * 16),
        ("producer", c.c_char * 64),
        ("program", c.c_char * 1024),
        ("ggml_path", c.c_char * 1024),
        ("ggml_version", c.c_char * 64),
        ("zero", c.c_uint8 * 1816),
        ("checksum", c.c_uint64),
    ]


FEATURE_PRIVATE = 1


class IoFile(c.Structure):
    """struct tat_io_file."""

    _fields_ = [
        ("number", c.c_uint32),
        ("device", c.c_uint64),
        ("inode", c.c_uint64),
        ("bytes", c.c_uint64),
        ("path", c.c_char_p),
        ("file_system", c.c_char_p),
        ("disk", c.c_uint64),
        ("no_extents", c.c_char_p),
        ("extents", c.c_void_p),
        ("n_extents", c.c_size_t),
    ]


class IoRun(c.Structure):
    """struct tat_io_run."""

    _fields_ = [("first", c.c_uint64), ("count", c.c_uint64)]


class IoResidency(c.Structure):
    """struct tat_io_residency."""

    _fields_ = [
        ("ns", c.c_uint64),
        ("file", c.c_uint32),
        ("of", IoRun),
        ("runs", c.c_void_p),
        ("n_runs", c.c_size_t),
    ]


class Io(c.Structure):
    """struct tat_io."""

    _fields_ = [
        ("header", FileHeader),
        ("faults", c.c_void_p),
        ("n_faults", c.c_size_t),
        ("files", c.c_void_p),
        ("n_files", c.c_size_t),
        ("pages", c.c_void_p),
        ("n_pages", c.c_size_t),
        ("requests", c.c_void_p),
        ("n_requests", c.c_size_t),
        ("counters", c.c_void_p),
        ("n_counters", c.c_size_t),
        ("residency", c.c_void_p),
        ("n_residency", c.c_size_t),
        ("recorded", c.c_bool * len(IO_SOURCES)),
        ("missing", c.c_char_p * len(IO_SOURCES)),
        ("memory", c.c_void_p),
        ("ignored", c.c_uint64),
        ("lost", c.c_uint64),
        ("damaged_bytes", c.c_uint64),
        ("partial", c.c_bool),
        ("ended", c.c_bool),
    ]


class Joined(c.Structure):
    """struct tat_storage."""

    _fields_ = [
        ("faults", c.c_void_p),
        ("n_faults", c.c_size_t),
        ("requests", c.c_void_p),
        ("n_requests", c.c_size_t),
        ("pages", c.c_void_p),
        ("n_pages", c.c_size_t),
        ("cut", c.c_bool),
    ]


class Scope(c.Structure):
    """struct tat_scope."""

    _fields_ = [
        ("token_first", c.c_uint32),
        ("token_end", c.c_uint32),
        ("layer_first", c.c_uint32),
        ("layer_end", c.c_uint32),
    ]


class AnalysisOptions(c.Structure):
    """struct tat_analysis_options."""

    _fields_ = [
        ("hot_share", c.c_double),
        ("cold_share", c.c_double),
        ("memory_bytes", c.c_uint64),
        ("disk_bytes_per_second", c.c_uint64),
        ("cache_unit", c.c_uint64),
        ("model", c.c_uint32),
        ("scope", Scope),
        ("read_ahead", c.c_uint32),
    ]


class Check(c.Structure):
    """struct tat_check."""

    _fields_ = [("name", c.c_char_p), ("what", c.c_char_p), ("verdict", c.c_int), ("detail", c.c_char * 512)]


class Verification(c.Structure):
    """struct tat_verification."""

    _fields_ = [
        ("check", Check * 24),
        ("n_checks", c.c_uint),
        ("n_failed", c.c_uint),
        ("n_accesses", c.c_uint64),
    ]


#: Structs by their names in C, for the test that compares them with the headers.
STRUCTS: dict[str, type[c.Structure] | np.dtype[Any]] = {
    "tat_error": Error,
    "tat_access": ACCESS,
    "tat_wait": WAIT,
    "tat_token": TOKEN,
    "tat_selection": SELECTION,
    "tat_placed": PLACED,
    "tat_storage": Joined,
    "tat_io_fault": IO_FAULT,
    "tat_io_pages": IO_PAGES,
    "tat_io_request": IO_REQUEST,
    "tat_io_counter_value": IO_COUNTER_VALUE,
    "tat_io_extent": IO_EXTENT,
    "tat_io_run": IoRun,
    "tat_io_file": IoFile,
    "tat_io_residency": IoResidency,
    "tat_io": Io,
    "tat_tensor": Tensor,
    "tat_evaluation": Evaluation,
    "tat_event": Event,
    "tat_model_file": ModelFile,
    "tat_model": Model,
    "tat_layout": Layout,
    "tat_choice": Choice,
    "tat_file_header": FileHeader,
    "tat_scope": Scope,
    "tat_analysis_options": AnalysisOptions,
    "tat_check": Check,
    "tat_verification": Verification,
}

_TRACE, _COUNT, _ERROR = c.c_void_p, c.POINTER(c.c_uint32), c.POINTER(Error)
_COLLECT = [_TRACE, c.c_uint32, c.c_uint32]
_INTO = [c.c_void_p, c.c_size_t, c.POINTER(c.c_size_t), _ERROR]

#: What a function returns, and what it takes.
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "tat_trace_open": (_TRACE, [c.c_char_p, _ERROR]),
    "tat_trace_close": (None, [_TRACE]),
    "tat_trace_header": (c.POINTER(FileHeader), [_TRACE]),
    "tat_trace_path": (c.c_char_p, [_TRACE]),
    "tat_trace_tensors": (c.c_void_p, [_TRACE, _COUNT]),
    "tat_trace_evaluations": (c.c_void_p, [_TRACE, _COUNT]),
    "tat_trace_events": (c.c_void_p, [_TRACE, _COUNT]),
    "tat_trace_model_files": (c.c_void_p, [_TRACE, _COUNT]),
    "tat_trace_models": (c.c_void_p, [_TRACE, _COUNT]),
    "tat_trace_main_model": (c.c_uint32, [_TRACE]),
    "tat_trace_find_model": (c.c_uint32, [_TRACE, c.c_char_p, _ERROR]),
    "tat_part_name": (c.c_char_p, [c.c_int]),
    "tat_trace_n_ops": (c.c_uint16, [_TRACE]),
    "tat_trace_op_name": (c.c_char_p, [_TRACE, c.c_uint16]),
    "tat_trace_layout": (Layout, [_TRACE, c.c_uint16]),
    "tat_trace_accesses": (c.c_int, [*_COLLECT, c.POINTER(Choice), *_INTO]),
    "tat_trace_waits": (c.c_int, [*_COLLECT, *_INTO]),
    "tat_trace_tokens": (c.c_int, [*_COLLECT, *_INTO]),
    "tat_trace_routing": (c.c_int, [*_COLLECT, *_INTO]),
    "tat_filter_name": (c.c_char_p, [c.c_uint]),
    "tat_filter_value": (c.c_char_p, [c.c_uint]),
    "tat_filter_check": (c.c_int, [c.c_char_p, c.c_char_p, _ERROR]),
    "tat_filter_new": (c.c_void_p, [_TRACE, _ERROR]),
    "tat_filter_free": (None, [c.c_void_p]),
    "tat_filter_add": (c.c_int, [c.c_void_p, c.c_char_p, c.c_char_p, _ERROR]),
    "tat_filter_accesses": (c.c_int, [*_COLLECT, *_INTO]),
    "tat_io_free": (None, [c.POINTER(Io)]),
    "tat_storage_read": (c.c_int, [_TRACE, c.POINTER(Io), _ERROR]),
    "tat_storage_join": (c.c_int, [_TRACE, c.POINTER(Io), c.c_bool, c.POINTER(Joined), _ERROR]),
    "tat_storage_free": (None, [c.POINTER(Joined)]),
    "tat_filter_choose": (c.c_int, [c.c_void_p, c.c_void_p, c.c_size_t, c.c_void_p, _ERROR]),
    "tat_matrix_columns": (c.c_uint32, [_TRACE, c.c_int]),
    "tat_matrix": (
        c.c_int,
        [_TRACE, c.c_int, c.c_int, c.c_uint32, c.c_uint32, c.c_uint32, c.c_void_p, _ERROR],
    ),
    "tat_component_name": (c.c_char_p, [c.c_int]),
    "tat_analysis_name": (c.c_char_p, [c.c_uint]),
    "tat_analysis_title": (c.c_char_p, [c.c_uint]),
    "tat_analysis_is_slow": (c.c_bool, [c.c_uint]),
    "tat_analyze": (
        c.c_void_p,
        [_TRACE, c.POINTER(c.c_char_p), c.c_size_t, c.POINTER(AnalysisOptions), _ERROR],
    ),
    "tat_verify": (c.c_int, [_TRACE, c.POINTER(Verification), _ERROR]),
}
