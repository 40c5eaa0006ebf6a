#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_questions.py TRACE STRUCTURE: asks the three questions of a trace of the dense model (5 prompt tokens, then
generated ones). STRUCTURE is what `tat gguf --csv` says of the model file: the truth about its tensors."""

import csv
import re
import shutil
import subprocess
import sys
import unittest

from accesses import accesses
from questions import graph_dot, kv_bytes, place_address, runs_of_token
from read_trace import FILE, STATE, Trace
from timeline import GENERATE, Clock, runs_of

TOKEN = 6
LAYER = 3


class Questions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.trace = Trace(cls.path)
        cls.runs = runs_of(cls.trace, Clock(cls.trace))
        (cls.run_of_token,) = runs_of_token(cls.runs, TOKEN)
        cls.template = cls.trace.templates[cls.run_of_token.evaluation.template]
        with open(cls.structure, newline="", encoding="utf-8") as file:
            cls.file_tensors = list(csv.DictReader(file))

    def test_graph(self):
        self.assertEqual(self.run_of_token.phase, GENERATE)
        dot = graph_dot(self.template)
        vertices = re.findall(r"^  e\d+ \[.*label=\"(.*)\"\];$", dot, re.MULTILINE)
        edges = re.findall(r"^  e(\d+) -> e(\d+) ", dot, re.MULTILINE)
        self.assertEqual(len(vertices), len(self.template.entries))
        self.assertEqual(len(edges), sum(len(e.src) for e in self.template.entries))
        self.assertTrue(all(int(source) < int(node) for source, node in edges))
        self.assertIn(r"ffn_out-3\nMUL_MAT\n576 f32", vertices)
        self.assertIn(r"blk.3.ffn_down.weight\n1536 x 576 q4_1", vertices)
        if shutil.which("dot"):
            subprocess.run(["dot", "-Tcanon"], input=dot, text=True, stdout=subprocess.DEVNULL, check=True)

    def test_address(self):
        placed = 0
        mapped = {t.name: t for t in self.trace.tensors if t.memory == FILE}
        for row in self.file_tensors:
            tensor = mapped.get(row["name"])
            if tensor is None:
                continue  # repacked, or in no graph
            for offset in (0, int(row["size"]) // 2, int(row["size"]) - 1):
                place = place_address(self.trace, tensor.address + offset)
                self.assertEqual((place.tensor, place.offset), (row["name"], offset))
                self.assertEqual(place.file_offset, int(row["file_offset"]) + offset)
                self.assertTrue(place.path.endswith(".gguf"))
            placed += 1
        self.assertGreater(placed, 200)
        self.assertIsNone(place_address(self.trace, 8))

    def test_kv(self):
        for token in range(0, TOKEN + 1):
            heads = [kv_bytes(self.trace, self.runs, LAYER, head, token) for head in range(3)]
            for answer in heads:
                self.assertEqual(answer.cells, [(0, token + 1)])
            self.assert_heads_make_the_whole(token, "cache_k_l3", [h.k for h in heads])
            self.assert_heads_make_the_whole(token, "cache_v_l3", [h.v for h in heads])
        self.assertIsNone(kv_bytes(self.trace, self.runs, LAYER, 0, 10**6))

    def assert_heads_make_the_whole(self, token, name, ranges):
        """Their bytes are disjoint, and together are what the access records say."""
        runs = [(o + i * stride, size) for head in ranges for o, size, stride, n in head for i in range(n)]
        bytes_of_heads = set()
        for offset, size in runs:
            bytes_of_heads.update(range(offset, offset + size))
        self.assertEqual(len(bytes_of_heads), sum(size for _, size in runs))
        (run,) = runs_of_token(self.runs, token)
        number = self.runs.index(run)
        read = set()
        for a in self.records_of(number, name):
            for i in range(a.rows):
                start = a.offset + i * a.stride
                read.update(range(start, start + (a.run_bytes or a.bytes)))
        self.assertEqual(bytes_of_heads, read)

    _cache_reads = None

    def records_of(self, evaluation, name):
        if Questions._cache_reads is None:
            state = {i: t.name for i, t in enumerate(self.trace.tensors) if t.kind == STATE}
            Questions._cache_reads = [
                (a.evaluation, state[a.tensor], a)
                for a in accesses(self.trace)
                if a.tensor in state and not a.flags & 1 and a.bytes
            ]
        return [a for e, tensor, a in Questions._cache_reads if (e, tensor) == (evaluation, name)]


if __name__ == "__main__":
    Questions.structure = sys.argv.pop()
    Questions.path = sys.argv.pop()
    unittest.main()
