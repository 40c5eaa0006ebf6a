#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# build.sh FOLDER [CMAKE-OPTION...]: configures FOLDER if it is new or if there are options, and builds. Quiet unless
# something fails.
. "$(dirname "$0")/common.sh"

[ $# -gt 0 ] || die "usage: build.sh FOLDER [CMAKE-OPTION...]"
folder=$1
shift
if [ ! -e "$folder/build.ninja" ] || [ $# -gt 0 ]; then
    quietly cmake -S "$root" -B "$folder" -G Ninja "$@"
fi
if [ -t 1 ]; then
    ninja -C "$folder"
else
    quietly ninja -C "$folder"
fi
