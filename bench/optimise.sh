#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# optimise.sh [OPTION...]: measures what managing memory gains where a model does not fit, and writes it to bench/OPTIMISE.md, .csv
# and .svg. Nothing else should run meanwhile. Options are those of optimise.py: --rounds, --minutes, --models, --shares, --ways,
# --append and others; --only-page makes the page anew of what was measured. LARGE=1 adds a dense model of 300 MB, and one
# with 32 experts, of which 4 are used (1.6 GB); DISK is a folder on the disk to measure, with room for the models. Needs root, for cgroups.
for option; do
    if [ "$option" = --only-page ]; then
        . "$(dirname "$0")/../scripts/common.sh"
        exec "$("$root/scripts/get-python.sh" plot)" "$root/bench/optimise.py" --out "$root/bench" "$@" > /dev/null
    fi
done
. "$(dirname "$0")/models.bash"

if [ -n "${LARGE:-}" ]; then
    cp "$("$root/scripts/get-deep.sh")" "$(EXPERTS=32 USED=4 "$root/scripts/get-experts.sh")" "$work"
fi
"$python" "$root/bench/optimise.py" --out "$root/bench" "$@" \
    "$build/src/cli/tat" "$build/src/manage/libtat_manage.so" "$bin" "$work"/*.gguf
