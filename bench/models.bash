# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034 # whoever sources it uses them
#
# What the benchmarks of models that do not fit in memory begin with. They source it: $build, $bin (of llama.cpp), $python, and
# $work, a folder on the disk to measure, with copies of the models, which no other program has mapped.
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

[ "$(id -u)" = 0 ] || die "$me.sh needs root: sudo bench/$me.sh"
build=${BUILD:-$root/build}
bin=$("$root/scripts/get-llama.sh")
models=$("$root/scripts/get-fixtures.sh")
python=$("$root/scripts/get-python.sh" plot)
work=$(mktemp -d "${DISK:-/var/tmp}/tat.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp "$models/SmolLM2-135M-Instruct.Q4_1.gguf" "$models/SmolLM2-8x2.gguf" "$work"
