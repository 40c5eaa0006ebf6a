#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# get-python.sh [--print] [test]: makes a Python environment with what python/requirements.txt pins, and for tests also
# tests/python/requirements.txt, in $XDG_CACHE_HOME/tat, and prints its python3. It is another one for other requirements.
# With --print it is only said where it is or would be: the tests' where that is there.
. "$(dirname "$0")/common.sh"

run=("$root/python/requirements.txt")
test=("${run[@]}" "$root/tests/python/requirements.txt")

# folder_of FILE...
folder_of() { echo "$cache/python-$(cat "$@" | sha256sum | cut -c 1-12)"; }

only_print=no
if [ "${1:-}" = --print ]; then
    only_print=yes
    shift
fi
requirements=("${run[@]}")
if [ "${1:-}" = test ] || { [ $only_print = yes ] && [ -d "$(folder_of "${test[@]}")" ]; }; then
    requirements=("${test[@]}")
fi
folder=$(folder_of "${requirements[@]}")
if [ $only_print = no ]; then
    one_at_a_time python
    "$root/python/setup-python" "$folder" "${requirements[@]}" 9>&-
    find "$cache" -maxdepth 1 -name 'python-????????????' -mtime +30 -exec rm -rf {} + # for what is pinned no longer
fi
touch -c "$folder"
echo "$folder/bin/python3"
