# SPDX-License-Identifier: MIT
"""ctypes_host.py LIBRARY MODEL[,MODEL...] PROMPT N [OPTION...]: writes N tokens, as a Python program that loads libllama by ctypes.

Python's bindings do the same: the library and what it needs stay outside the global scope. The library may be any that exports
llama.cpp's functions, from November 2024 on: a libllama.so, or an extension of Python that has all of llama.cpp inside.
Each of several models is freed before the next one is loaded, and so is each context.
"""
import argparse
import ctypes
import struct
import sys
from ctypes import c_char_p, c_int32, c_void_p


class Params(ctypes.Structure):
    """By value as in C; larger than any version's. Fields are found by their defaults, as their places differ."""

    _fields_ = [("bytes", ctypes.c_uint8 * 1024)]

    def set(self, defaults, field, value, alignment=1):
        """Sets the bytes from `field` on within the defaults, which must be in exactly one place."""
        now = bytes(self.bytes)
        places = [at for at in range(0, len(now), alignment) if now.startswith(defaults, at)]
        if len(places) != 1:
            sys.exit(f"{len(places)} places have the defaults {defaults.hex(' ')}")
        self.bytes[places[0] + field : places[0] + field + len(value)] = value


class Batch(ctypes.Structure):
    """Older versions have three numbers behind the pointers."""

    _fields_ = [("n_tokens", c_int32)] + [(f"field{i}", c_void_p) for i in range(8)]


Tokens = ctypes.POINTER(c_int32)
FUNCTIONS = {
    "llama_backend_init": (None,),
    "llama_model_default_params": (Params,),
    "llama_model_load_from_file": (c_void_p, c_char_p, Params),
    "llama_context_default_params": (Params,),
    "llama_init_from_model": (c_void_p, c_void_p, Params),
    "llama_set_n_threads": (None, c_void_p, c_int32, c_int32),
    "llama_model_get_vocab": (c_void_p, c_void_p),
    "llama_tokenize": (c_int32, c_void_p, c_char_p, c_int32, Tokens, c_int32, ctypes.c_bool, ctypes.c_bool),
    "llama_token_to_piece": (c_int32, c_void_p, c_int32, c_char_p, c_int32, c_int32, ctypes.c_bool),
    "llama_batch_get_one": (Batch, Tokens, c_int32, c_int32, c_int32),
    "llama_decode": (c_int32, c_void_p, Batch),
    "llama_sampler_init_greedy": (c_void_p,),
    "llama_sampler_sample": (c_int32, c_void_p, c_void_p, c_int32),
    "llama_free": (None, c_void_p),
    "llama_model_free": (None, c_void_p),
}
# Until January 2025, when a vocabulary was not a thing of its own: functions asked the model.
OLDER_NAMES = {
    "llama_model_load_from_file": "llama_load_model_from_file",
    "llama_init_from_model": "llama_new_context_with_model",
    "llama_model_free": "llama_free_model",
}


def load(path):
    llama = ctypes.CDLL(path)
    llama.is_old = not hasattr(llama, "llama_model_get_vocab")
    for name, (result, *arguments) in FUNCTIONS.items():
        if llama.is_old and name == "llama_model_get_vocab":
            continue
        function = getattr(llama, OLDER_NAMES.get(name, name) if llama.is_old else name)
        function.restype, function.argtypes = result, arguments
        setattr(llama, name, function)
    return llama


def model_params(llama, options):
    params = llama.llama_model_default_params()
    if options.no_mmap and hasattr(llama, "llama_load_mode_name"):  # n_gpu_layers, split_mode, load_mode, lazy_mode
        params.set(struct.pack("=4i", -1, 1, -1, 1), 8, struct.pack("=i", 0))
    elif options.no_mmap:  # vocab_only, use_mmap, use_mlock, check_tensors, which follow a pointer
        params.set(b"\0\1\0\0", 1, b"\0", alignment=8)
    return params


def context_params(llama, options):
    params = llama.llama_context_default_params()
    if options.ubatch:  # n_ctx, n_batch, n_ubatch
        params.set(struct.pack("=3I", 512, 2048, 512), 8, struct.pack("=I", options.ubatch))
    if options.flash_attention:  # offload_kqv, flash_attn, no_perf
        params.set(b"\1\0\1", 1, b"\1")
    return params


def write(llama, model, prompt, count, options):
    vocab = model if llama.is_old else llama.llama_model_get_vocab(model)
    context = llama.llama_init_from_model(model, context_params(llama, options))
    llama.llama_set_n_threads(context, options.threads, options.threads)
    sampler = llama.llama_sampler_init_greedy()
    tokens = (c_int32 * 512)()
    n, past = llama.llama_tokenize(vocab, prompt, len(prompt), tokens, len(tokens), True, True), 0
    for _ in range(count):
        # Older versions are told the position and the sequence, newer ones look at neither.
        if n <= 0 or llama.llama_decode(context, llama.llama_batch_get_one(tokens, n, past, 0)) != 0:
            sys.exit("it could not be computed")
        past += n
        tokens[0], n = llama.llama_sampler_sample(sampler, context, -1), 1
        piece = ctypes.create_string_buffer(256)
        length = llama.llama_token_to_piece(vocab, tokens[0], piece, len(piece), 0, True)
        sys.stdout.buffer.write(piece.raw[:length])
    sys.stdout.buffer.write(b"\n")
    llama.llama_free(context)


def main():
    parser = argparse.ArgumentParser()
    for name, kind in ("library", str), ("model", str), ("prompt", str), ("count", int):
        parser.add_argument(name, type=kind)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ubatch", type=int)
    parser.add_argument("--contexts", type=int, default=1, help="of each model, one after the other")
    parser.add_argument("--no-mmap", action="store_true")
    parser.add_argument("--flash-attention", action="store_true", help="until the middle of 2025; then it is the default")
    options = parser.parse_args()

    llama = load(options.library)
    llama.llama_backend_init()
    for path in options.model.split(","):
        model = llama.llama_model_load_from_file(path.encode(), model_params(llama, options))
        if not model:
            sys.exit(f"{path} could not be loaded")
        for _ in range(options.contexts):
            write(llama, model, options.prompt.encode(), options.count, options)
        llama.llama_model_free(model)


main()
