#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# get-python.sh [--print] [plot | all | test]: makes a Python environment in $XDG_CACHE_HOME/tat and prints the path of its
# python3. It has what plots and films need (plot: python/requirements-plot.txt), what all commands need (all, the default:
# python/requirements.txt), or also what the tests need (test: tests/python/requirements.txt). If there is one that has more,
# that is used. Each set of requirements has its own environment. --print makes nothing and only prints the path.
. "$(dirname "$0")/common.sh"

pins=$root/python/requirements.txt
plot=("$root/python/requirements-plot.txt")
all=("$pins")
test=("$pins" "$root/tests/python/requirements.txt")

# folder_of FILE...
folder_of() { echo "$cache/python-$(cat "$@" | sha256sum | cut -c 1-12)"; }

only_print=no
if [ "${1:-}" = --print ]; then
    only_print=yes
    shift
fi
of_plot=$(folder_of "${plot[@]}" "$pins")
of_all=$(folder_of "${all[@]}")
of_test=$(folder_of "${test[@]}")
case ${1:-all} in
    plot) folders=("$of_test" "$of_all" "$of_plot") ;;
    all) folders=("$of_test" "$of_all") ;;
    test) folders=("$of_test") ;;
    *) die "usage: get-python.sh [--print] [plot | all | test]" ;;
esac
for folder in "${folders[@]}"; do
    [ ! -x "$folder/bin/python3" ] || break
done
if [ $only_print = no ]; then
    case $folder in
        "$of_test") requirements=("${test[@]}") ;;
        "$of_all") requirements=("${all[@]}") ;;
        *) requirements=("${plot[@]}") ;;
    esac
    one_at_a_time python
    "$root/python/setup-python" "$folder" "${requirements[@]}" 9>&-
    find "$cache" -maxdepth 1 -name 'python-????????????' -mtime +30 -exec rm -rf {} + # for what is pinned no longer
fi
touch -c "$folder"
echo "$folder/bin/python3"
