# SPDX-License-Identifier: MIT
"""What names tell: layer, component and role, as in doc/format.md."""

import re

from read_trace import ACTIVATION, INPUT

NO_LAYER = 65535
ROLES = ["", "q", "k", "v", "o"]

STEMS = {}
for line in """
    token_embd output output_norm attn_norm attn_qkv attn_gate attn_q_norm attn_k_norm attn_sinks ffn_gate ffn_up
    ffn_down ffn_gate_up ssm_in ssm_x ssm_dt ssm_a ssm_d ssm_out ssm_norm shortconv nextn
""".split():
    STEMS[line] = line
for line in """
    attn_norm: attn_norm_2 cross_attn_norm
    attn_q: attn_q attn_q_a attn_q_b cross_attn_q
    attn_k: attn_k attn_k_b cross_attn_k
    attn_v: attn_v attn_v_b cross_attn_v
    attn_kv: attn_kv attn_kv_a_mqa attn_kv_b
    attn_kv_norm: attn_kv_a_norm
    attn_qkv: vis_attn_qkv
    attn_output: attn_o attn_out attn_output attn_output_a attn_output_b cross_attn_o vis_attn_output
    attn_q_norm: attn_q_a_norm
    attn_post_norm: attn_output_norm post_attention_norm
    attn_other: indexer
    rope: attn_rot_embd rope_factors_long rope_factors_short rope_freqs
    position_embd: position_embd token_types
    layer_embd: inp_gate per_layer_model_proj per_layer_token_embd proj
    ffn_norm: ffn_norm ffn_norm_exps pre_ffw_norm_2
    ffn_post_norm: post_ffw_norm post_ffw_norm_1 post_ffw_norm_2
    ffn_gate: vis_gate
    ffn_up: vis_up
    ffn_down: vis_down
    router: ffn_gate_inp exp_probs_b exp_probs_b_vl ffn_gate_tid2eid
    expert_gate: ffn_gate_exps ffn_gate_chexps
    expert_up: ffn_up_exps ffn_up_chexps
    expert_down: ffn_down_exps ffn_down_chexps
    expert_gate_up: ffn_gate_up_exps
    shared_router: ffn_gate_inp_shexp
    shared_gate: ffn_gate_shexp
    shared_up: ffn_up_shexp
    shared_down: ffn_down_shexp
    ssm_conv1d: ssm_conv1d ssm_conv1d_q ssm_conv1d_k ssm_conv1d_v
    control_vector: direction
    ssm_norm: ssm_b_norm ssm_c_norm ssm_dt_norm
""".strip().splitlines():
    component, stems = line.split(":")
    STEMS.update({stem: component.strip() for stem in stems.split()})

FAMILIES = [
    ("attn_", "attn_other"), ("indexer_", "attn_other"), ("ffn_", "ffn_other"), ("ssm_", "ssm_other"),
    ("time_mix_", "time_mix"), ("channel_mix_", "channel_mix"), ("cache_k_l", "kv_k"), ("cache_v_l", "kv_v"),
    ("cache_r_l", "state"), ("cache_s_l", "state"),
]  # fmt: skip

BLOCK = re.compile(r"(?:[^.]*\.)?blk\.(\d+)\.(.*)", re.DOTALL)


def bounded(digits):
    return int(digits) if int(digits) < NO_LAYER else NO_LAYER


def layer_of_result(name):
    found = re.search(r"-(\d+)(?: [^-]*)?$", name)
    return bounded(found[1]) if found else NO_LAYER


def layer_of(tensor):
    if tensor.kind in (ACTIVATION, INPUT):
        return layer_of_result(tensor.name)
    found = re.match(r"cache_._l(\d+)", tensor.name) or re.fullmatch(r"direction\.(\d+)", tensor.name)
    found = found or BLOCK.match(tensor.name)
    return bounded(found[1]) if found else NO_LAYER


def component_of(tensor):
    if tensor.kind in (ACTIVATION, INPUT):
        return "other"
    rest = tensor.name
    block = BLOCK.match(rest)
    if block:
        rest = block[2]
    elif rest.startswith(("enc.", "dec.")):
        rest = rest[4:]
    stem = re.split("[. ]", rest)[0]
    if stem in STEMS:
        component = STEMS[stem]
        one_expert = block and stem.startswith("ffn_") and re.match(r"\d+\.", rest[len(stem) + 1 :])
        return component.replace("ffn_", "expert_") if one_expert and component in ("ffn_gate", "ffn_up", "ffn_down") \
            else component  # fmt: skip
    if stem.endswith("_norm"):
        return "norm"
    return next((component for prefix, component in FAMILIES if stem.startswith(prefix)), "other")


def role_of(tensor):
    by_component = {"attn_q": "q", "attn_k": "k", "kv_k": "k", "attn_v": "v", "kv_v": "v", "attn_output": "o"}
    by_name = {"Qcur": "q", "Kcur": "k", "Vcur": "v", "attn_out": "o"}
    component = component_of(tensor)
    if component in by_component:
        return by_component[component]
    return next((role for prefix, role in by_name.items() if tensor.name.startswith(prefix)), "")
