# SPDX-License-Identifier: MIT
"""ctypes_host.py LIBRARY MODEL PROMPT N: writes N tokens, as a Python program that loads libllama by ctypes.

So do Python's bindings. The library and all that it needs are then out of sight of the global scope.
"""
import ctypes
import sys
from ctypes import c_char_p, c_int32, c_void_p


class Params(ctypes.Structure):
    """By value as in C; larger than any version's."""

    _fields_ = [("words", ctypes.c_uint64 * 128)]


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", c_int32)] + [(f"field{i}", c_void_p) for i in range(6)]


Tokens = ctypes.POINTER(c_int32)
FUNCTIONS = {
    "llama_backend_init": (None,),
    "llama_model_default_params": (Params,),
    "llama_model_load_from_file": (c_void_p, c_char_p, Params),
    "llama_context_default_params": (Params,),
    "llama_init_from_model": (c_void_p, c_void_p, Params),
    "llama_model_get_vocab": (c_void_p, c_void_p),
    "llama_tokenize": (c_int32, c_void_p, c_char_p, c_int32, Tokens, c_int32, ctypes.c_bool, ctypes.c_bool),
    "llama_token_to_piece": (c_int32, c_void_p, c_int32, c_char_p, c_int32, c_int32, ctypes.c_bool),
    "llama_batch_get_one": (Batch, Tokens, c_int32),
    "llama_decode": (c_int32, c_void_p, Batch),
    "llama_sampler_init_greedy": (c_void_p,),
    "llama_sampler_sample": (c_int32, c_void_p, c_void_p, c_int32),
    "llama_free": (None, c_void_p),
    "llama_model_free": (None, c_void_p),
}


def load(path):
    llama = ctypes.CDLL(path)
    for name, (result, *arguments) in FUNCTIONS.items():
        function = getattr(llama, name)
        function.restype, function.argtypes = result, arguments
    return llama


def write(llama, model, prompt, count):
    vocab = llama.llama_model_get_vocab(model)
    context = llama.llama_init_from_model(model, llama.llama_context_default_params())
    sampler = llama.llama_sampler_init_greedy()
    tokens = (c_int32 * 512)()
    n = llama.llama_tokenize(vocab, prompt, len(prompt), tokens, len(tokens), True, True)
    for _ in range(count):
        if n <= 0 or llama.llama_decode(context, llama.llama_batch_get_one(tokens, n)) != 0:
            sys.exit("it could not be computed")
        tokens[0], n = llama.llama_sampler_sample(sampler, context, -1), 1
        piece = ctypes.create_string_buffer(256)
        length = llama.llama_token_to_piece(vocab, tokens[0], piece, len(piece), 0, True)
        sys.stdout.buffer.write(piece.raw[:length])
    sys.stdout.buffer.write(b"\n")
    llama.llama_free(context)


def main(library, path, prompt, count):
    llama = load(library)
    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
    if not model:
        sys.exit(f"{path} could not be loaded")
    write(llama, model, prompt.encode(), int(count))
    llama.llama_model_free(model)


main(*sys.argv[1:])
