#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# bats.sh BATS FILE: runs a file of tests, and ends what hangs. Where a test has not ended after $HUNG_SECONDS, its programs are
# named and killed, and where that does not help, its shell: it fails, and the next one begins. So are programs that were
# left behind once all tests have ended, as bats waits until they let go of its output. Bats's own BATS_TEST_TIMEOUT (1.8) waits
# for ever for a program that `run` started.
set -u

hung_seconds=${HUNG_SECONDS:-600} # many times what the slowest test takes where other programs run beside it
left_seconds=20
grace_seconds=5
export TAT_TESTED_BY=$$ # by which processes are known, whoever their parents are
XDG_STATE_HOME=$(mktemp -d) # what a user records elsewhere is remembered there; a test's is not
export XDG_STATE_HOME
export TAT_PAGER= # which would wait for keys
trap 'rm -rf "$XDG_STATE_HOME"' EXIT

# processes: of the tests, one a line: "shell" or "program", process id, command line. Not those that print for bats.
processes() {
    local environment pid args parent
    for environment in $(grep -lzx "TAT_TESTED_BY=$$" /proc/[0-9]*/environ); do
        pid=${environment//[!0-9]/}
        args=$(tr '\0' ' ' < "/proc/$pid/cmdline")
        parent=$(tr '\0' ' ' < "/proc/$(awk '$1 == "PPid:" { print $2 }' "/proc/$pid/status")/cmdline")
        case "$args$parent" in
            */bats-format*) ;;
            */bats-exec-test*)
                [[ $args == */bats-exec-test* ]] && echo "shell $pid $args" || echo "program $pid $args"
                ;;
            *) [ -z "$args" ] || [[ $args == */bats-exec* || $args == */bats\ * ]] || echo "program $pid $args" ;;
        esac
    done 2> /dev/null
}

# end_processes [SHELLS]: the programs, and with an argument the shells too, which then say what has failed.
end_processes() {
    local kind pid args
    processes | while read -r kind pid args; do
        if [ "$kind" = program ]; then
            echo "# killed: $args"
            kill -KILL "$pid"
        elif [ -n "${1:-}" ]; then
            echo "# ended: ${args##*.bats }"
            kill -TERM "$pid"
        fi
    done 2> /dev/null
}

# How long to wait, where so many of the planned tests have ended, and something was killed just now or not.
patience() {
    if [ -n "$3" ]; then
        echo $grace_seconds
    elif [ "$1" = "$2" ]; then
        echo $left_seconds
    else
        echo "$hung_seconds"
    fi
}

# Passes on what bats says. Status 1: something had to be ended.
watch() {
    local line last='the beginning' planned=-1 ended=0 seconds=$hung_seconds again='' status=0
    while :; do
        if IFS= read -r -t "$seconds" line; then
            printf '%s\n' "$line"
            [[ ! $line =~ ^1\.\.([0-9]+) ]] || planned=${BASH_REMATCH[1]}
            [[ ! $line =~ ^(not )?ok\  ]] || ended=$((ended + 1)) last=$line again=''
        elif [ $? -gt 128 ]; then # the time is over, and not the input
            [ -n "$again" ] || echo "# $seconds s after '$last': $([ $ended = "$planned" ] && echo left behind || echo hung)"
            end_processes "$again"
            again=yes status=1
        else
            return $status
        fi
        seconds=$(patience $ended "$planned" "$again")
    done
}

"$1" --tap "$2" | watch
[[ ${PIPESTATUS[*]} == "0 0" ]]
