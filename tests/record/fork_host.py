# SPDX-License-Identifier: MIT
"""fork_host.py LIBRARY MODEL PROMPT N: writes N tokens by ik_llama.cpp, then how often its callback was given what.

A fork of llama.cpp from before samplers and vocabularies were things of their own. Its ggml's plan has no thread pool.
"""
import collections
import ctypes
import sys
from ctypes import c_bool, c_char_p, c_float, c_int32, c_void_p

ARGUMENT = 0x1234


class Params(ctypes.Structure):
    """By value as in C, and larger."""

    _fields_ = [("words", ctypes.c_uint64 * 128)]


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", c_int32)] + [(f"field{i}", c_void_p) for i in range(8)]


Tokens = ctypes.POINTER(c_int32)
Callback = ctypes.CFUNCTYPE(c_bool, c_void_p)
FUNCTIONS = {
    "llama_backend_init": (None,),
    "llama_model_default_params": (Params,),
    "llama_model_load_from_file": (c_void_p, c_char_p, Params),
    "llama_context_default_params": (Params,),
    "llama_init_from_model": (c_void_p, c_void_p, Params),
    "llama_set_abort_callback": (None, c_void_p, Callback, c_void_p),
    "llama_tokenize": (c_int32, c_void_p, c_char_p, c_int32, Tokens, c_int32, c_bool, c_bool),
    "llama_token_to_piece": (c_int32, c_void_p, c_int32, c_char_p, c_int32, c_int32, c_bool),
    "llama_batch_get_one": (Batch, Tokens, c_int32, c_int32, c_int32),
    "llama_decode": (c_int32, c_void_p, Batch),
    "llama_get_logits_ith": (ctypes.POINTER(c_float), c_void_p, c_int32),
    "llama_n_vocab": (c_int32, c_void_p),
}


def load(path):
    llama = ctypes.CDLL(path)
    for name, (result, *arguments) in FUNCTIONS.items():
        function = getattr(llama, name)
        function.restype, function.argtypes = result, arguments
    return llama


def write(llama, model, context, prompt, count):
    tokens = (c_int32 * 512)()
    n = llama.llama_tokenize(model, prompt, len(prompt), tokens, len(tokens), True, True)
    words, position = llama.llama_n_vocab(model), 0
    for _ in range(count):
        if n <= 0 or llama.llama_decode(context, llama.llama_batch_get_one(tokens, n, position, 0)) != 0:
            sys.exit("it could not be computed")
        position += n
        logits = llama.llama_get_logits_ith(context, -1)
        tokens[0], n = max(range(words), key=logits.__getitem__), 1
        piece = ctypes.create_string_buffer(256)
        length = llama.llama_token_to_piece(model, tokens[0], piece, len(piece), 0, True)
        sys.stdout.buffer.write(piece.raw[:length])


def main(library, path, prompt, count):
    llama = load(library)
    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
    if not model:
        sys.exit(f"{path} could not be loaded")
    params = llama.llama_context_default_params()
    ctypes.cast(ctypes.byref(params), ctypes.POINTER(ctypes.c_uint32))[1] = 512  # n_ctx
    context = llama.llama_init_from_model(model, params)
    given = collections.Counter()

    def callback(data):
        given[data] += 1
        return False

    kept = Callback(callback)
    llama.llama_set_abort_callback(context, kept, ARGUMENT)
    write(llama, model, context, prompt.encode(), int(count))
    sys.stdout.buffer.write(f"\n{given}\n".encode())
    sys.stdout.flush()


main(*sys.argv[1:])
