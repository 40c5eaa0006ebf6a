#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# get-experts.sh: makes of the model of scripts/get-model.sh one with 8 experts, of which 2 are used, or $EXPERTS and $USED, by
# tests/fixtures/make_moe.py, in $XDG_CACHE_HOME/tat/models, and prints its path.
. "$(dirname "$0")/common.sh"

experts=${EXPERTS:-8}
used=${USED:-2}
model=$cache/models/SmolLM2-${experts}x$used.gguf

make_of_dense "$model" $((experts * 50 + 47)) make_moe.py --experts "$experts" --used "$used"
echo "$model"
