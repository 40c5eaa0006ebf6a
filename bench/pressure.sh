#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# pressure.sh: measures what llama.cpp does when its model does not fit in memory, and writes it to bench/PRESSURE.md, .csv and
# .svg. About 10 minutes a round; nothing else should run meanwhile. ROUNDS makes it shorter or longer; DISK is a folder on
# the disk to measure, with room for the models. Needs root, for cgroups and the kernel's events.
. "$(dirname "$0")/../scripts/common.sh"

[ "$(id -u)" = 0 ] || die "pressure.sh needs root: sudo bench/pressure.sh"
build=${BUILD:-$root/build}
bin=$("$root/scripts/get-llama.sh")
models=$("$root/scripts/get-fixtures.sh")
python=$("$root/scripts/get-python.sh" plot)
work=$(mktemp -d "${DISK:-/var/tmp}/tat.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Copies, which no other program has mapped.
cp "$models/SmolLM2-135M-Instruct.Q4_1.gguf" "$models/SmolLM2-8x2.gguf" "$work"
"$python" "$root/bench/pressure.py" --rounds "${ROUNDS:-5}" --out "$root/bench" "$build/src/cli/tat" "$bin" "$work"/*.gguf
