# SPDX-License-Identifier: MIT
"""The texts of a model file's tokens, read from the GGUF file itself (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md),
and what kind of token each is."""

import struct

KINDS = ["begins a word", "goes on a word", "number", "punctuation", "white space", "special", "other"]
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9
LETTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
SPACES = " \n\t\r\u0120\u010a\u0109\u010d\u2581"


def vocabulary_of(path):
    """The tokens' texts, by id; None if the file has none or is not there."""
    try:
        with open(path, "rb") as file:
            return read(file)
    except OSError:
        return None


def read(file):
    def scalar(form):
        return struct.unpack(form, file.read(struct.calcsize(form)))[0]

    def string():
        return file.read(scalar("<Q"))

    def value(kind):
        if kind == STRING:
            return string()
        if kind == ARRAY:
            element, n = scalar("<I"), scalar("<Q")
            return [value(element) for _ in range(n)]
        return scalar(SCALARS[kind])

    magic, _version, _tensors, pairs = file.read(4), scalar("<I"), scalar("<Q"), scalar("<Q")
    assert magic == b"GGUF", magic
    for _ in range(pairs):
        key = string()
        found = value(scalar("<I"))
        if key == b"tokenizer.ggml.tokens":
            return [text.decode("utf-8", "surrogateescape") for text in found]
    return None


def kind_of(text):
    if len(text.encode("utf-8", "surrogateescape")) > 2 and text[0] == "<" and text[-1] == ">":
        return "special"
    rest = text.lstrip(SPACES)
    if not rest:
        return "white space"
    if all(c in LETTERS for c in rest):
        return "begins a word" if rest != text else "goes on a word"
    if all(c in "0123456789" for c in rest):
        return "number"
    return "punctuation" if all("!" <= c <= "~" and c not in LETTERS and not c.isdigit() for c in rest) else "other"
