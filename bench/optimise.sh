#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# optimise.sh: measures what managing memory gains where a model does not fit, and writes it to bench/OPTIMISE.md, .csv and
# .svg. About 7 minutes a round; nothing else should run meanwhile. ROUNDS makes it shorter or longer; LARGE=1 adds a
# model with 32 experts, of which 4 are used (1.6 GB); READERS=1 adds io_uring and threads apart; DISK is a folder on the
# disk to measure, with room for the models. Needs root, for cgroups.
. "$(dirname "$0")/../scripts/common.sh"

[ "$(id -u)" = 0 ] || die "optimise.sh needs root: sudo bench/optimise.sh"
build=${BUILD:-$root/build}
bin=$("$root/scripts/get-llama.sh")
models=$("$root/scripts/get-fixtures.sh")
python=$("$root/scripts/get-python.sh" plot)
work=$(mktemp -d "${DISK:-/var/tmp}/tat.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Copies, which no other program has mapped.
cp "$models/SmolLM2-135M-Instruct.Q4_1.gguf" "$models/SmolLM2-8x2.gguf" "$work"
[ -z "${LARGE:-}" ] || cp "$(EXPERTS=32 USED=4 "$root/scripts/get-experts.sh")" "$work"
ways=mmap,faults,random,pin,pin+stream,all
[ -z "${READERS:-}" ] || ways=$ways,all-uring,all-threads
"$python" "$root/bench/optimise.py" --rounds "${ROUNDS:-3}" --ways "$ways" --out "$root/bench" \
    "$build/src/manage/libtat_manage.so" "$bin" "$work"/*.gguf
