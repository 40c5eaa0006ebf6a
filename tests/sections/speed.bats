#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# FLOP and bytes of the section on speed, counted again from shapes.

load ../traced

checked() {
    python3 "$BATS_TEST_DIRNAME/check_speed.py" "$TAT" "$trace"
}

@test "the fake host" {
    traced "$HOST_DIR/fake_host1" -g 12 "$toy"
    checked
}

@test "a dense model, with flash attention and without" {
    of_model "$dense" -n 3
    checked
    of_model "$dense" -n 3 -fa off
    checked
}

@test "a mixture of experts, latent attention" {
    of_model "$moe" -n 3
    checked
    of_model random-deepseek2.gguf -n 3
    checked
}
