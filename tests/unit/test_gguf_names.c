/* SPDX-License-Identifier: MIT */
#include "test_gguf_builder.h"

#define NONE 0xffff

static const struct {
    const char * name;
    int layer;
    int expert;
    const char * component;
} names[] = {
    { "token_embd.weight", NONE, NONE, "token_embd" },
    { "position_embd.weight", NONE, NONE, "position_embd" },
    { "token_types.weight", NONE, NONE, "position_embd" },
    { "per_layer_token_embd.weight", NONE, NONE, "layer_embd" },
    { "per_layer_model_proj.weight", NONE, NONE, "layer_embd" },
    { "per_layer_proj_norm.weight", NONE, NONE, "norm" },
    { "blk.3.inp_gate.weight", 3, NONE, "layer_embd" },
    { "blk.3.proj.weight", 3, NONE, "layer_embd" },
    { "blk.3.post_norm.weight", 3, NONE, "norm" },
    { "token_embd_norm.weight", NONE, NONE, "norm" },
    { "output.weight", NONE, NONE, "output" },
    { "output_norm.weight", NONE, NONE, "output_norm" },
    { "enc.output_norm.weight", NONE, NONE, "output_norm" },
    { "rope_freqs.weight", NONE, NONE, "rope" },
    { "rope_factors_long.weight", NONE, NONE, "rope" },
    { "rope_factors_short.weight", NONE, NONE, "rope" },
    { "blk.0.attn_rot_embd", 0, NONE, "rope" },
    { "blk.0.attn_norm.weight", 0, NONE, "attn_norm" },
    { "blk.0.attn_norm_2.weight", 0, NONE, "attn_norm" },
    { "blk.0.attn_qkv.weight", 0, NONE, "attn_qkv" },
    { "blk.12.attn_q.weight", 12, NONE, "attn_q" },
    { "blk.12.attn_q.bias", 12, NONE, "attn_q" },
    { "blk.12.attn_q_a.weight", 12, NONE, "attn_q" },
    { "blk.12.attn_q_b.weight", 12, NONE, "attn_q" },
    { "blk.12.attn_k.weight", 12, NONE, "attn_k" },
    { "blk.12.attn_k_b.weight", 12, NONE, "attn_k" },
    { "blk.12.attn_v.weight", 12, NONE, "attn_v" },
    { "blk.12.attn_v_b.weight", 12, NONE, "attn_v" },
    { "blk.12.attn_kv.weight", 12, NONE, "attn_kv" },
    { "blk.12.attn_kv_b.weight", 12, NONE, "attn_kv" },
    { "blk.12.attn_kv_a_mqa.weight", 12, NONE, "attn_kv" },
    { "blk.12.attn_output.weight", 12, NONE, "attn_output" },
    { "blk.12.attn_output_a.weight", 12, NONE, "attn_output" },
    { "blk.12.attn_output_b.weight", 12, NONE, "attn_output" },
    { "v.blk.12.attn_out.weight", 12, NONE, "attn_output" },
    { "blk.12.attn_gate.weight", 12, NONE, "attn_gate" },
    { "blk.12.attn_q_norm.weight", 12, NONE, "attn_q_norm" },
    { "blk.12.attn_q_a_norm.weight", 12, NONE, "attn_q_norm" },
    { "blk.12.attn_k_norm.weight", 12, NONE, "attn_k_norm" },
    { "blk.12.attn_kv_a_norm.weight", 12, NONE, "attn_kv_norm" },
    { "blk.12.attn_sinks.weight", 12, NONE, "attn_sinks" },
    { "blk.12.attn_output_norm.weight", 12, NONE, "attn_post_norm" },
    { "blk.12.post_attention_norm.weight", 12, NONE, "attn_post_norm" },
    { "blk.12.attn_rel_b.weight", 12, NONE, "attn_other" },
    { "blk.12.attn_sub_norm.weight", 12, NONE, "norm" },
    { "blk.12.indexer.attn_k.weight", 12, NONE, "attn_other" },
    { "blk.12.indexer_compressor_kv.weight", 12, NONE, "attn_other" },
    { "dec.blk.7.attn_o.weight", 7, NONE, "attn_output" },
    { "dec.blk.7.cross_attn_q.weight", 7, NONE, "attn_q" },
    { "dec.blk.7.cross_attn_k.weight", 7, NONE, "attn_k" },
    { "dec.blk.7.cross_attn_v.weight", 7, NONE, "attn_v" },
    { "dec.blk.7.cross_attn_o.weight", 7, NONE, "attn_output" },
    { "dec.blk.7.cross_attn_norm.weight", 7, NONE, "attn_norm" },
    { "blk.1.vis_attn_qkv.weight", 1, NONE, "attn_qkv" },
    { "blk.1.vis_attn_output.weight", 1, NONE, "attn_output" },
    { "blk.1.vis_gate.weight", 1, NONE, "ffn_gate" },
    { "blk.1.vis_up.weight", 1, NONE, "ffn_up" },
    { "blk.1.vis_down.weight", 1, NONE, "ffn_down" },
    { "blk.1.ffn_norm.weight", 1, NONE, "ffn_norm" },
    { "blk.1.ffn_norm_exps.weight", 1, NONE, "ffn_norm" },
    { "blk.1.pre_ffw_norm_2.weight", 1, NONE, "ffn_norm" },
    { "blk.1.ffn_gate.weight", 1, NONE, "ffn_gate" },
    { "blk.1.ffn_up.weight", 1, NONE, "ffn_up" },
    { "blk.1.ffn_up.scale", 1, NONE, "ffn_up" },
    { "blk.1.ffn_down.weight", 1, NONE, "ffn_down" },
    { "blk.1.ffn_gate_up.weight", 1, NONE, "ffn_gate_up" },
    { "blk.1.post_ffw_norm.weight", 1, NONE, "ffn_post_norm" },
    { "blk.1.post_ffw_norm_1.weight", 1, NONE, "ffn_post_norm" },
    { "blk.1.post_ffw_norm_2.weight", 1, NONE, "ffn_post_norm" },
    { "blk.1.ffn_latent_up.weight", 1, NONE, "ffn_other" },
    { "blk.1.ffn_gate_inp.weight", 1, NONE, "router" },
    { "blk.1.exp_probs_b.bias", 1, NONE, "router" },
    { "blk.1.exp_probs_b_vl.bias", 1, NONE, "router" },
    { "blk.1.ffn_gate_tid2eid.weight", 1, NONE, "router" },
    { "blk.1.ffn_gate_exps.weight", 1, NONE, "expert_gate" },
    { "blk.1.ffn_gate_exps.bias", 1, NONE, "expert_gate" },
    { "blk.1.ffn_up_exps.weight", 1, NONE, "expert_up" },
    { "blk.1.ffn_down_exps.weight", 1, NONE, "expert_down" },
    { "blk.1.ffn_gate_up_exps.weight", 1, NONE, "expert_gate_up" },
    { "blk.1.ffn_gate_chexps.weight", 1, NONE, "expert_gate" },
    { "blk.1.ffn_up_chexps.weight", 1, NONE, "expert_up" },
    { "blk.1.ffn_down_chexps.weight", 1, NONE, "expert_down" },
    { "blk.1.ffn_gate.3.weight", 1, 3, "expert_gate" },
    { "blk.1.ffn_up.0.weight", 1, 0, "expert_up" },
    { "blk.1.ffn_down.255.weight", 1, 255, "expert_down" },
    { "blk.1.ffn_down.65534.weight", 1, 65534, "expert_down" },
    { "blk.1.ffn_down.65535.weight", 1, NONE, "ffn_down" },
    { "blk.1.ffn_down.99999999999999999999.weight", 1, NONE, "ffn_down" },
    { "blk.1.ffn_gate_inp_shexp.weight", 1, NONE, "shared_router" },
    { "blk.1.ffn_gate_shexp.weight", 1, NONE, "shared_gate" },
    { "blk.1.ffn_up_shexp.weight", 1, NONE, "shared_up" },
    { "blk.1.ffn_down_shexp.weight", 1, NONE, "shared_down" },
    { "blk.1.ssm_in.weight", 1, NONE, "ssm_in" },
    { "blk.1.ssm_conv1d.weight", 1, NONE, "ssm_conv1d" },
    { "blk.1.ssm_conv1d_q.weight", 1, NONE, "ssm_conv1d" },
    { "blk.1.ssm_conv1d_k.weight", 1, NONE, "ssm_conv1d" },
    { "blk.1.ssm_conv1d_v.weight", 1, NONE, "ssm_conv1d" },
    { "blk.1.ssm_x.weight", 1, NONE, "ssm_x" },
    { "blk.1.ssm_dt.weight", 1, NONE, "ssm_dt" },
    { "blk.1.ssm_dt.bias", 1, NONE, "ssm_dt" },
    { "blk.1.ssm_a", 1, NONE, "ssm_a" },
    { "blk.1.ssm_d", 1, NONE, "ssm_d" },
    { "blk.1.ssm_norm.weight", 1, NONE, "ssm_norm" },
    { "blk.1.ssm_dt_norm.weight", 1, NONE, "ssm_norm" },
    { "blk.1.ssm_b_norm.weight", 1, NONE, "ssm_norm" },
    { "blk.1.ssm_c_norm.weight", 1, NONE, "ssm_norm" },
    { "blk.1.ssm_out.weight", 1, NONE, "ssm_out" },
    { "blk.1.ssm_beta.weight", 1, NONE, "ssm_other" },
    { "blk.1.shortconv.in_proj.weight", 1, NONE, "shortconv" },
    { "blk.1.time_mix_lerp_fused.weight", 1, NONE, "time_mix" },
    { "blk.1.channel_mix_key.weight", 1, NONE, "channel_mix" },
    { "blk.1.nextn.eh_proj.weight", 1, NONE, "nextn" },
    { "nextn.pre_projection.weight", NONE, NONE, "nextn" },
    { "blk.1.layer_output_norm.weight", 1, NONE, "norm" },
    { "cls.output.weight", NONE, NONE, "other" },
    { "cache_k_l0", 0, NONE, "kv_k" },
    { "cache_v_l29 (view)", 29, NONE, "kv_v" },
    { "cache_r_l5", 5, NONE, "state" },
    { "cache_s_l5 (reshaped)", 5, NONE, "state" },
    { "direction.7", 7, NONE, "control_vector" },
    { "direction.7x", NONE, NONE, "control_vector" },
    { "blk.3.attn_q.weight.lora_a", 3, NONE, "attn_q" },
    /* hostile */
    { "", NONE, NONE, "other" },
    { "_norm", NONE, NONE, "norm" },
    { "blk", NONE, NONE, "other" },
    { "blk.", NONE, NONE, "other" },
    { "blk.7", NONE, NONE, "other" },
    { "blk.7.", 7, NONE, "other" },
    { "blk..attn_q.weight", NONE, NONE, "attn_q" },
    { "blk.-1.attn_q.weight", NONE, NONE, "other" },
    { "blk.0x3.attn_q.weight", NONE, NONE, "other" },
    { "blk.65534.attn_q.weight", 65534, NONE, "attn_q" },
    { "blk.65535.attn_q.weight", NONE, NONE, "attn_q" },
    { "blk.4294967296.attn_q.weight", NONE, NONE, "attn_q" },
    { "blk.18446744073709551616.attn_q.weight", NONE, NONE, "attn_q" },
    { "a.b.blk.3.attn_q.weight", NONE, NONE, "other" },
    { "enc.", NONE, NONE, "other" },
    { "cache_", NONE, NONE, "other" },
    { "cache_k", NONE, NONE, "other" },
    { "cache_k_l", NONE, NONE, "kv_k" },
    { "cache_k_l99999999999", NONE, NONE, "kv_k" },
    { "attn", NONE, NONE, "other" },
    { "attn_", NONE, NONE, "attn_other" },
    { "zzz", NONE, NONE, "other" },
};

static void test_names(void ** state) {
    (void) state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char * name = names[i].name;
        const char * component = tat_component_name(tat_component_of(name));
        if (tat_layer_of(name) != names[i].layer) { fail_msg("%s: layer %d", name, tat_layer_of(name)); }
        if (tat_expert_of(name) != names[i].expert) { fail_msg("%s: expert %d", name, tat_expert_of(name)); }
        if (strcmp(component, names[i].component)) { fail_msg("%s: component %s", name, component); }
    }
}

static void test_every_component_has_a_name_and_is_reached(void ** state) {
    (void) state;
    for (int c = 0; c < TAT_COMPONENT_COUNT; c++) {
        bool reached = false;
        assert_non_null(tat_component_name(c));
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            reached |= (int) tat_component_of(names[i].name) == c;
        }
        if (!reached) { fail_msg("no name leads to %s", tat_component_name(c)); }
    }
    assert_string_equal(tat_component_name(TAT_COMPONENT_COUNT), "other");
    assert_string_equal(tat_component_name(-1), "other");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_every_component_has_a_name_and_is_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
