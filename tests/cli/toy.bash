# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Traces of a toy model with attention and experts. HOST computes it: a host that the agent is linked into.

# toy_trace FOLDER ARGUMENT...: a run of it.
toy_trace() {
    local toy=$BATS_FILE_TMPDIR/toy.gguf
    [ -e "$toy" ] || "$HOST" --write "$toy"
    mkdir -p "$1"
    TAT_VERBOSE=1 TAT_RUN_DIR=$1 "$HOST" "${@:2}" "$toy" > /dev/null
    [ -s "$1/tensor_access.bin" ]
}
