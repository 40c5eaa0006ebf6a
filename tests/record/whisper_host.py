# SPDX-License-Identifier: MIT
"""whisper_host.py LIBRARY MODEL N: hears noise and writes N tokens by whisper.cpp, which it loads by ctypes."""
import array
import ctypes
import random
import sys
from ctypes import POINTER, c_char_p, c_float, c_int32, c_void_p

THREADS = 2
Numbers = POINTER(c_float)
FUNCTIONS = {
    "whisper_init_from_file": (c_void_p, c_char_p),
    "whisper_n_vocab": (c_int32, c_void_p),
    "whisper_model_n_audio_ctx": (c_int32, c_void_p),
    "whisper_model_n_mels": (c_int32, c_void_p),
    "whisper_set_mel": (c_int32, c_void_p, Numbers, c_int32, c_int32),
    "whisper_encode": (c_int32, c_void_p, c_int32, c_int32),
    "whisper_decode": (c_int32, c_void_p, POINTER(c_int32), c_int32, c_int32, c_int32),
    "whisper_get_logits": (Numbers, c_void_p),
    "whisper_free": (None, c_void_p),
}


def main(library, path, count):
    whisper = ctypes.CDLL(library)
    for name, (result, *arguments) in FUNCTIONS.items():
        function = getattr(whisper, name)
        function.restype, function.argtypes = result, arguments
    context = whisper.whisper_init_from_file(path.encode())
    if not context:
        sys.exit(f"{path} could not be loaded")
    n_mels, length = whisper.whisper_model_n_mels(context), 2 * whisper.whisper_model_n_audio_ctx(context)
    noise = random.Random(0)
    mel = array.array("f", (noise.uniform(-1, 1) for _ in range(n_mels * length)))
    words, heard, past = whisper.whisper_n_vocab(context), [1, 2, 3], 0
    failed = whisper.whisper_set_mel(context, (c_float * len(mel)).from_buffer(mel), length, n_mels)
    failed = failed or whisper.whisper_encode(context, 0, THREADS)
    for _ in range(int(count)):
        tokens = (c_int32 * len(heard))(*heard)
        if failed or whisper.whisper_decode(context, tokens, len(heard), past, THREADS):
            sys.exit("it could not be computed")
        past += len(heard)
        logits = whisper.whisper_get_logits(context)[: len(heard) * words][-words:]
        heard = [max(range(words), key=logits.__getitem__)]
        print(heard[0], max(logits))
    whisper.whisper_free(context)


main(*sys.argv[1:])
