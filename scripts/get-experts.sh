#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# get-experts.sh: makes of the model of scripts/get-model.sh one with 8 experts, of which 2 are used, or $EXPERTS and $USED, by
# tests/fixtures/make_moe.py, in $XDG_CACHE_HOME/tat/models, and prints its path. Needs no more of Python than drawing does,
# and the package gguf.
. "$(dirname "$0")/common.sh"

fixtures=$root/tests/fixtures
experts=${EXPERTS:-8}
used=${USED:-2}
model=$cache/models/SmolLM2-${experts}x$used.gguf

dense=$("$root/scripts/get-model.sh")
one_at_a_time fixtures
if [ ! -e "$model" ]; then
    python=$("$root/scripts/get-python.sh" plot)
    scratch_folder
    # What gguf requires beside these, it imports for other things.
    quietly "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$scratch" \
        --constraint "$fixtures/requirements.txt" gguf PyYAML
    say "making $(basename "$model") ($((experts * 50 + 47)) MB)"
    PYTHONPATH=$scratch quietly "$python" "$fixtures/make_moe.py" "$dense" "$model" --experts "$experts" --used "$used"
fi
echo "$model"
