/* SPDX-License-Identifier: MIT
 *
 * What a tensor's name tells: "blk.7.ffn_gate_exps.weight" is the gate of layer 7's experts. A name is
 *
 *     [PREFIX.]blk.LAYER.STEM[.EXPERT].weight     or     [PREFIX.]STEM.weight
 *
 * Names come from files: a number in one is bounded before anyone counts with it.
 */
#include "tat/gguf.h"

#include <string.h>

#define NUMBER_MAX 65534 /* one below TAT_NO_LAYER and TAT_NO_EXPERT */

struct stem {
    const char * name;
    enum tat_component component;
};

/* Sorted, for bsearch. */
static const struct stem stems[] = {
    { "attn_gate", TAT_COMPONENT_ATTN_GATE },
    { "attn_k", TAT_COMPONENT_ATTN_K },
    { "attn_k_b", TAT_COMPONENT_ATTN_K },
    { "attn_k_norm", TAT_COMPONENT_ATTN_K_NORM },
    { "attn_kv", TAT_COMPONENT_ATTN_KV },
    { "attn_kv_a_mqa", TAT_COMPONENT_ATTN_KV },
    { "attn_kv_a_norm", TAT_COMPONENT_ATTN_KV_NORM },
    { "attn_kv_b", TAT_COMPONENT_ATTN_KV },
    { "attn_norm", TAT_COMPONENT_ATTN_NORM },
    { "attn_norm_2", TAT_COMPONENT_ATTN_NORM },
    { "attn_o", TAT_COMPONENT_ATTN_OUTPUT },
    { "attn_out", TAT_COMPONENT_ATTN_OUTPUT },
    { "attn_output", TAT_COMPONENT_ATTN_OUTPUT },
    { "attn_output_a", TAT_COMPONENT_ATTN_OUTPUT },
    { "attn_output_b", TAT_COMPONENT_ATTN_OUTPUT },
    { "attn_output_norm", TAT_COMPONENT_ATTN_POST_NORM },
    { "attn_q", TAT_COMPONENT_ATTN_Q },
    { "attn_q_a", TAT_COMPONENT_ATTN_Q },
    { "attn_q_a_norm", TAT_COMPONENT_ATTN_Q_NORM },
    { "attn_q_b", TAT_COMPONENT_ATTN_Q },
    { "attn_q_norm", TAT_COMPONENT_ATTN_Q_NORM },
    { "attn_qkv", TAT_COMPONENT_ATTN_QKV },
    { "attn_rot_embd", TAT_COMPONENT_ROPE },
    { "attn_sinks", TAT_COMPONENT_ATTN_SINKS },
    { "attn_v", TAT_COMPONENT_ATTN_V },
    { "attn_v_b", TAT_COMPONENT_ATTN_V },
    { "cross_attn_k", TAT_COMPONENT_ATTN_K },
    { "cross_attn_norm", TAT_COMPONENT_ATTN_NORM },
    { "cross_attn_o", TAT_COMPONENT_ATTN_OUTPUT },
    { "cross_attn_q", TAT_COMPONENT_ATTN_Q },
    { "cross_attn_v", TAT_COMPONENT_ATTN_V },
    { "direction", TAT_COMPONENT_CONTROL_VECTOR },
    { "exp_probs_b", TAT_COMPONENT_ROUTER },
    { "exp_probs_b_vl", TAT_COMPONENT_ROUTER },
    { "ffn_down", TAT_COMPONENT_FFN_DOWN },
    { "ffn_down_chexps", TAT_COMPONENT_EXPERT_DOWN },
    { "ffn_down_exps", TAT_COMPONENT_EXPERT_DOWN },
    { "ffn_down_shexp", TAT_COMPONENT_SHARED_DOWN },
    { "ffn_gate", TAT_COMPONENT_FFN_GATE },
    { "ffn_gate_chexps", TAT_COMPONENT_EXPERT_GATE },
    { "ffn_gate_exps", TAT_COMPONENT_EXPERT_GATE },
    { "ffn_gate_inp", TAT_COMPONENT_ROUTER },
    { "ffn_gate_inp_shexp", TAT_COMPONENT_SHARED_ROUTER },
    { "ffn_gate_shexp", TAT_COMPONENT_SHARED_GATE },
    { "ffn_gate_tid2eid", TAT_COMPONENT_ROUTER },
    { "ffn_gate_up", TAT_COMPONENT_FFN_GATE_UP },
    { "ffn_gate_up_exps", TAT_COMPONENT_EXPERT_GATE_UP },
    { "ffn_norm", TAT_COMPONENT_FFN_NORM },
    { "ffn_norm_exps", TAT_COMPONENT_FFN_NORM },
    { "ffn_up", TAT_COMPONENT_FFN_UP },
    { "ffn_up_chexps", TAT_COMPONENT_EXPERT_UP },
    { "ffn_up_exps", TAT_COMPONENT_EXPERT_UP },
    { "ffn_up_shexp", TAT_COMPONENT_SHARED_UP },
    { "indexer", TAT_COMPONENT_ATTN_OTHER },
    { "inp_gate", TAT_COMPONENT_LAYER_EMBD },
    { "nextn", TAT_COMPONENT_NEXTN },
    { "output", TAT_COMPONENT_OUTPUT },
    { "output_norm", TAT_COMPONENT_OUTPUT_NORM },
    { "per_layer_model_proj", TAT_COMPONENT_LAYER_EMBD },
    { "per_layer_token_embd", TAT_COMPONENT_LAYER_EMBD },
    { "position_embd", TAT_COMPONENT_POSITION_EMBD },
    { "post_attention_norm", TAT_COMPONENT_ATTN_POST_NORM },
    { "post_ffw_norm", TAT_COMPONENT_FFN_POST_NORM },
    { "post_ffw_norm_1", TAT_COMPONENT_FFN_POST_NORM },
    { "post_ffw_norm_2", TAT_COMPONENT_FFN_POST_NORM },
    { "pre_ffw_norm_2", TAT_COMPONENT_FFN_NORM },
    { "proj", TAT_COMPONENT_LAYER_EMBD },
    { "rope_factors_long", TAT_COMPONENT_ROPE },
    { "rope_factors_short", TAT_COMPONENT_ROPE },
    { "rope_freqs", TAT_COMPONENT_ROPE },
    { "shortconv", TAT_COMPONENT_SHORTCONV },
    { "ssm_a", TAT_COMPONENT_SSM_A },
    { "ssm_b_norm", TAT_COMPONENT_SSM_NORM },
    { "ssm_c_norm", TAT_COMPONENT_SSM_NORM },
    { "ssm_conv1d", TAT_COMPONENT_SSM_CONV1D },
    { "ssm_conv1d_k", TAT_COMPONENT_SSM_CONV1D },
    { "ssm_conv1d_q", TAT_COMPONENT_SSM_CONV1D },
    { "ssm_conv1d_v", TAT_COMPONENT_SSM_CONV1D },
    { "ssm_d", TAT_COMPONENT_SSM_D },
    { "ssm_dt", TAT_COMPONENT_SSM_DT },
    { "ssm_dt_norm", TAT_COMPONENT_SSM_NORM },
    { "ssm_in", TAT_COMPONENT_SSM_IN },
    { "ssm_norm", TAT_COMPONENT_SSM_NORM },
    { "ssm_out", TAT_COMPONENT_SSM_OUT },
    { "ssm_x", TAT_COMPONENT_SSM_X },
    { "token_embd", TAT_COMPONENT_TOKEN_EMBD },
    { "token_types", TAT_COMPONENT_POSITION_EMBD },
    { "vis_attn_output", TAT_COMPONENT_ATTN_OUTPUT },
    { "vis_attn_qkv", TAT_COMPONENT_ATTN_QKV },
    { "vis_down", TAT_COMPONENT_FFN_DOWN },
    { "vis_gate", TAT_COMPONENT_FFN_GATE },
    { "vis_up", TAT_COMPONENT_FFN_UP },
};

/* For stems that are not in the table. */
static const struct stem families[] = {
    { "attn_", TAT_COMPONENT_ATTN_OTHER },   { "indexer_", TAT_COMPONENT_ATTN_OTHER },
    { "ffn_", TAT_COMPONENT_FFN_OTHER },     { "ssm_", TAT_COMPONENT_SSM_OTHER },
    { "time_mix_", TAT_COMPONENT_TIME_MIX }, { "channel_mix_", TAT_COMPONENT_CHANNEL_MIX },
    { "cache_k_l", TAT_COMPONENT_KV_K },     { "cache_v_l", TAT_COMPONENT_KV_V },
    { "cache_r_l", TAT_COMPONENT_STATE },    { "cache_s_l", TAT_COMPONENT_STATE },
};

static const char * const component_names[TAT_COMPONENT_COUNT] = {
    [TAT_COMPONENT_OTHER] = "other",
    [TAT_COMPONENT_TOKEN_EMBD] = "token_embd",
    [TAT_COMPONENT_POSITION_EMBD] = "position_embd",
    [TAT_COMPONENT_LAYER_EMBD] = "layer_embd",
    [TAT_COMPONENT_ATTN_NORM] = "attn_norm",
    [TAT_COMPONENT_ATTN_QKV] = "attn_qkv",
    [TAT_COMPONENT_ATTN_Q] = "attn_q",
    [TAT_COMPONENT_ATTN_K] = "attn_k",
    [TAT_COMPONENT_ATTN_V] = "attn_v",
    [TAT_COMPONENT_ATTN_KV] = "attn_kv",
    [TAT_COMPONENT_ATTN_OUTPUT] = "attn_output",
    [TAT_COMPONENT_ATTN_GATE] = "attn_gate",
    [TAT_COMPONENT_ATTN_Q_NORM] = "attn_q_norm",
    [TAT_COMPONENT_ATTN_K_NORM] = "attn_k_norm",
    [TAT_COMPONENT_ATTN_KV_NORM] = "attn_kv_norm",
    [TAT_COMPONENT_ATTN_SINKS] = "attn_sinks",
    [TAT_COMPONENT_ATTN_POST_NORM] = "attn_post_norm",
    [TAT_COMPONENT_ATTN_OTHER] = "attn_other",
    [TAT_COMPONENT_ROPE] = "rope",
    [TAT_COMPONENT_FFN_NORM] = "ffn_norm",
    [TAT_COMPONENT_FFN_GATE] = "ffn_gate",
    [TAT_COMPONENT_FFN_UP] = "ffn_up",
    [TAT_COMPONENT_FFN_DOWN] = "ffn_down",
    [TAT_COMPONENT_FFN_GATE_UP] = "ffn_gate_up",
    [TAT_COMPONENT_FFN_POST_NORM] = "ffn_post_norm",
    [TAT_COMPONENT_FFN_OTHER] = "ffn_other",
    [TAT_COMPONENT_ROUTER] = "router",
    [TAT_COMPONENT_EXPERT_GATE] = "expert_gate",
    [TAT_COMPONENT_EXPERT_UP] = "expert_up",
    [TAT_COMPONENT_EXPERT_DOWN] = "expert_down",
    [TAT_COMPONENT_EXPERT_GATE_UP] = "expert_gate_up",
    [TAT_COMPONENT_SHARED_ROUTER] = "shared_router",
    [TAT_COMPONENT_SHARED_GATE] = "shared_gate",
    [TAT_COMPONENT_SHARED_UP] = "shared_up",
    [TAT_COMPONENT_SHARED_DOWN] = "shared_down",
    [TAT_COMPONENT_SSM_IN] = "ssm_in",
    [TAT_COMPONENT_SSM_CONV1D] = "ssm_conv1d",
    [TAT_COMPONENT_SSM_X] = "ssm_x",
    [TAT_COMPONENT_SSM_DT] = "ssm_dt",
    [TAT_COMPONENT_SSM_A] = "ssm_a",
    [TAT_COMPONENT_SSM_D] = "ssm_d",
    [TAT_COMPONENT_SSM_NORM] = "ssm_norm",
    [TAT_COMPONENT_SSM_OUT] = "ssm_out",
    [TAT_COMPONENT_SSM_OTHER] = "ssm_other",
    [TAT_COMPONENT_SHORTCONV] = "shortconv",
    [TAT_COMPONENT_TIME_MIX] = "time_mix",
    [TAT_COMPONENT_CHANNEL_MIX] = "channel_mix",
    [TAT_COMPONENT_NORM] = "norm",
    [TAT_COMPONENT_NEXTN] = "nextn",
    [TAT_COMPONENT_OUTPUT_NORM] = "output_norm",
    [TAT_COMPONENT_OUTPUT] = "output",
    [TAT_COMPONENT_KV_K] = "kv_k",
    [TAT_COMPONENT_KV_V] = "kv_v",
    [TAT_COMPONENT_STATE] = "state",
    [TAT_COMPONENT_CONTROL_VECTOR] = "control_vector",
};

const char * tat_component_name(enum tat_component component) {
    return (unsigned) component < TAT_COMPONENT_COUNT ? component_names[component] : "other";
}

static bool starts_with(const char * text, const char * prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static size_t stem_length(const char * stem) {
    return strcspn(stem, ". ");
}

/* The number at `text`, or `none` if there are no digits or the number is too large. *end: what follows. */
static int number_at(const char * text, int none, const char ** end) {
    int number = 0;
    const char * digit = text;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        if (number <= NUMBER_MAX) { number = number * 10 + (*digit - '0'); }
    }
    *end = digit;
    return digit == text || number > NUMBER_MAX ? none : number;
}

/* What follows "blk.LAYER.", else what follows "enc." or "dec.", else the name. */
static const char * stem_of(const char * name, int * layer) {
    *layer = TAT_NO_LAYER;
    const char * dot = strchr(name, '.');
    const char * block = starts_with(name, "blk.") ? name : dot && starts_with(dot, ".blk.") ? dot + 1 : NULL;
    if (block) {
        const char * end;
        const int number = number_at(block + strlen("blk."), TAT_NO_LAYER, &end);
        if (*end != '.') { return name; }
        *layer = number;
        return end + 1;
    }
    return starts_with(name, "enc.") || starts_with(name, "dec.") ? dot + 1 : name;
}

int tat_layer_of(const char * tensor_name) {
    const char * end;
    int layer;
    if (starts_with(tensor_name, "cache_") && tensor_name[6] && starts_with(tensor_name + 7, "_l")) {
        return number_at(tensor_name + 9, TAT_NO_LAYER, &end);
    }
    if (starts_with(tensor_name, "direction.")) {
        layer = number_at(tensor_name + strlen("direction."), TAT_NO_LAYER, &end);
        return *end == '\0' ? layer : TAT_NO_LAYER;
    }
    stem_of(tensor_name, &layer);
    return layer;
}

int tat_expert_of(const char * tensor_name) {
    int layer;
    const char * stem = stem_of(tensor_name, &layer);
    const size_t length = stem_length(stem);
    if (layer == TAT_NO_LAYER || stem[length] != '.' || !starts_with(stem, "ffn_")) { return TAT_NO_EXPERT; }
    const char * end;
    const int expert = number_at(stem + length + 1, TAT_NO_EXPERT, &end);
    return *end == '.' ? expert : TAT_NO_EXPERT;
}

static enum tat_component family_of(const char * stem, size_t length) {
    if (length >= 5 && strncmp(stem + length - 5, "_norm", 5) == 0) { return TAT_COMPONENT_NORM; }
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (starts_with(stem, families[i].name)) { return families[i].component; }
    }
    return TAT_COMPONENT_OTHER;
}

static enum tat_component component_of_stem(const char * stem, size_t length) {
    size_t low = 0, high = sizeof stems / sizeof *stems;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        int order = strncmp(stem, stems[middle].name, length);
        if (order == 0 && stems[middle].name[length]) { order = -1; }
        if (order == 0) { return stems[middle].component; }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return family_of(stem, length);
}

enum tat_component tat_component_of(const char * tensor_name) {
    int layer;
    const char * stem = stem_of(tensor_name, &layer);
    const enum tat_component component = component_of_stem(stem, stem_length(stem));
    if (component < TAT_COMPONENT_FFN_GATE || component > TAT_COMPONENT_FFN_DOWN) { return component; }
    if (tat_expert_of(tensor_name) == TAT_NO_EXPERT) { return component; }
    return TAT_COMPONENT_EXPERT_GATE + (component - TAT_COMPONENT_FFN_GATE);
}
