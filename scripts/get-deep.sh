#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# get-deep.sh: makes of the model of scripts/get-model.sh one with 4 times as many blocks, or $TIMES, and the same text, by
# tests/fixtures/make_deep.py, in $XDG_CACHE_HOME/tat/models, and prints its path.
. "$(dirname "$0")/common.sh"

times=${TIMES:-4}
model=$cache/models/SmolLM2-deep$times.gguf

make_of_dense "$model" $((times * 66 + 31)) make_deep.py --times "$times"
echo "$model"
