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
# The page of `tat view` could not be built the last time: perhaps it can be now.
[ ! -e "$folder/page_absent" ] || rm -f "$folder/src/serve/page_files.c"
if [ -t 1 ]; then
    ninja -C "$folder"
else
    quietly ninja -C "$folder"
fi
if [ -e "$folder/page_absent" ]; then
    say "tat was built WITHOUT the page of \`tat view\`. It is built where npm with node 20.19 or newer, or PyPI, can be reached:"
    sed 's/^/    /' "$folder/page_absent" >&2
fi
