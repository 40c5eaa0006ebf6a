# SPDX-License-Identifier: MIT
"""Three questions that a trace must answer by itself: draw one token's graph, find the place of one fault address, list
one head's KV bytes."""

from dataclasses import dataclass

from accesses import pieces_of, rows_of, union
from read_trace import FILE, MAPPING, MASK, MODEL_FILE
from timeline import WARMUP_PHASE


def runs_of_token(runs, token, context=1):
    """The evaluations that computed a token: one, or several if a ubatch is several graphs."""
    return [
        run
        for run in runs
        if run.context == context and run.phase != WARMUP_PHASE
        and run.token_first <= token < run.token_first + run.n_tokens
    ]  # fmt: skip


# -------------------------------------------------------------------------------------------------------- the graph


def label_of(*lines):
    def escaped(text):
        text = text.replace("\\", "\\\\").replace('"', '\\"')
        return "".join(c if c.isprintable() else f"\\\\x{ord(c):02x}" for c in text)

    return '"' + "\\n".join(map(escaped, lines)) + '"'


def shape_text(entry):
    ne = list(entry.ne)
    while len(ne) > 1 and ne[-1] == 1:
        ne.pop()
    return " x ".join(map(str, ne)) + " " + entry.type_name


def graph_dot(template):
    """The graph as Graphviz reads it: leaves are boxes, nodes say what they compute."""
    lines = ["digraph graph_of_one_token {", "  rankdir=TB;"]
    for number, entry in enumerate(template.entries):
        is_leaf = number < template.n_leaves
        label = label_of(entry.name, *([] if is_leaf else [entry.op]), shape_text(entry))
        lines.append(f"  e{number} [shape={'box' if is_leaf else 'ellipse'}, label={label}];")
    for number, node in enumerate(template.entries):
        lines += [f'  e{source} -> e{number} [label="{place}"];' for place, source in sorted(node.src.items())]
    return "\n".join(lines + ["}"]) + "\n"


# ------------------------------------------------------------------------------------------------------ one address


@dataclass
class Place:
    path: str
    file: int
    file_offset: int
    tensor: str  # "" between tensors, or where no graph used it
    offset: int  # in the tensor


def place_address(trace, address):
    """Where in which model file an address is, and in which tensor; None if no mapping has it."""
    found = None
    for event in sorted(trace.events, key=lambda e: e.tick):  # a later mapping stands for an earlier one
        if event.type == MAPPING and event.values[1] <= address < event.values[1] + event.values[2]:
            found = event.values
    if found is None:
        return None
    file, start, _, file_offset = found
    path = next(e.text for e in trace.events if e.type == MODEL_FILE and e.values[0] == file)
    at = file_offset + address - start
    for tensor in trace.tensors:
        if tensor and tensor.memory == FILE and tensor.file == file and 0 <= at - tensor.file_offset < tensor.bytes:
            return Place(path, file, at, tensor.name, at - tensor.file_offset)
    return Place(path, file, at, "", 0)


# --------------------------------------------------------------------------------------------------- one head's cache


@dataclass
class HeadBytes:
    evaluation: object
    k: list  # (offset in the tensor, bytes of a run, stride, runs)
    v: list
    cells: list  # that the token sees: (first, count); None if the mask was not captured


def plane(entry, head):
    """What part of a view belongs to a head: dimension 2 counts heads."""
    runs = union(rows_of(entry, [entry.ne[0], entry.ne[1], 1, entry.ne[3]], entry.offset + head * entry.nb[2]))
    return [(p.offset, p.run_bytes, p.stride, p.count) for p in pieces_of(runs)]


def mask_of(template, product):
    """The entry of the mask that a node's scores go through: the node's own, or that of the SOFT_MAX they end in."""
    node = template.entries[product]
    if node.op == "FLASH_ATTN_EXT":
        return node.src.get(3)
    derived = {product}
    for number in range(product + 1, len(template.entries)):
        node = template.entries[number]
        if derived & set(node.src.values()):
            if node.op == "SOFT_MAX":
                return node.src.get(1)
            derived.add(number)
    return None


def visible_cells(run, template, mask, row):
    for capture, values in zip(template.captures, run.evaluation.captures):
        if capture.kind == MASK and capture.entry == mask:
            return values[row] if values and row < len(values) else None
    return None


def kv_bytes(trace, runs, layer, head, token, context=1):
    """The bytes of the KV cache that attention reads for one KV head of one layer when a token is computed, and which of
    their cells its mask lets through, since the extent is padded."""
    for run in runs_of_token(runs, token, context):
        template = trace.templates[run.evaluation.template]
        answer = HeadBytes(run, [], [], None)
        for number in range(template.n_leaves, len(template.entries)):
            node = template.entries[number]
            names = {place: trace.tensors[template.entries[e].tensor].name for place, e in node.src.items()}
            if node.op == "FLASH_ATTN_EXT" and names.get(1) == f"cache_k_l{layer}":
                answer.k = plane(template.entries[node.src[1]], head)
                answer.v = plane(template.entries[node.src[2]], head)
            elif node.op == "MUL_MAT" and names.get(0) == f"cache_k_l{layer}":
                answer.k = plane(template.entries[node.src[0]], head)
            elif node.op == "MUL_MAT" and names.get(0) == f"cache_v_l{layer}":
                answer.v = plane(template.entries[node.src[0]], head)
                continue
            else:
                continue
            answer.cells = visible_cells(run, template, mask_of(template, number), token - run.token_first)
        if answer.k or answer.v:
            return answer
    return None
