#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# pressure.sh: measures what llama.cpp does when its model does not fit in memory, and writes it to bench/PRESSURE.md, .csv and
# .svg. About 10 minutes a round; nothing else should run meanwhile. ROUNDS makes it shorter or longer; DISK is a folder on
# the disk to measure, with room for the models. Needs root, for cgroups and the kernel's events.
. "$(dirname "$0")/models.bash"

"$python" "$root/bench/pressure.py" --rounds "${ROUNDS:-5}" --out "$root/bench" "$build/src/cli/tat" "$bin" "$work"/*.gguf
