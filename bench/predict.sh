#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# predict.sh: how well `tat plan` predicts what `tat run` delivers: a dense model and one with experts, at several shares
# of their size. Prints a table, and writes it to bench/PREDICT.md. About 4 minutes a round; nothing else should run
# meanwhile. ROUNDS makes it shorter or longer; DISK is a folder on the disk to measure. Needs root, for cgroups.
. "$(dirname "$0")/../scripts/common.sh"

[ "$(id -u)" = 0 ] || die "predict.sh needs root: sudo bench/predict.sh"
build=${BUILD:-$root/build}
bin=$("$root/scripts/get-llama.sh")
models=$("$root/scripts/get-fixtures.sh")
work=$(mktemp -d "${DISK:-/var/tmp}/tat.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Copies, which no other program has mapped.
cp "$models/SmolLM2-135M-Instruct.Q4_1.gguf" "$models/SmolLM2-8x2.gguf" "$work"
python3 "$root/bench/predict.py" --rounds "${ROUNDS:-5}" --out "$root/bench/PREDICT.md" \
    "$build/src/cli/tat" "$bin" "$work"/*.gguf
