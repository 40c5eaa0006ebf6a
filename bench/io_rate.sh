#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# io_rate.sh TAT PAGE_CHURN: how many page-cache events a second are recorded without loss. Needs root.
set -euo pipefail
work=$(mktemp -d /var/tmp/tat.XXXXXX)
trap 'rm -rf "$work"' EXIT

for rate in 100000 200000 400000 10000000; do
    "$1" record --io -o "$work/run" -- "$2" "$work/file" "$rate" 5 > "$work/talk" 2>&1
    awk -v rate=$rate '
        / pages in / { churned = $1; seconds = $4 }
        / lost$/ { lost = $(NF - 1) }
        / of the run.s files came/ { recorded = $2 " " $3 }
        END {
            printf "%8d events/s asked for, %8.0f done: fills of %s recorded, of %.1f MiB; %s events lost\n", rate,
                2 * churned / seconds, recorded, churned / 256, lost
        }' "$work/talk"
    rm -rf "$work/run"
done
