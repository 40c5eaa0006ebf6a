#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# `tat run --memory` where memory is not one program's alone: a limit that moves all the time, a container, several programs under
# one limit, and programs that compute several things at once. Part of `make test-long`, as run_faults.bats is.

load faults

teardown() {
    [ -z "${server:-}" ] || kill -KILL "$server" 2> /dev/null || true
    [ -z "${parent:-}" ] || rmdir "$parent" 2> /dev/null || true
}

@test "run shared: the limit goes down and up again as long as it runs" {
    [ "$(id -u)" = 0 ] || skip "memory cgroups need root"
    down_and_up() {
        local percent
        while kill -0 $tat 2> /dev/null; do
            for percent in 97 92 89 100 94 88; do
                group memory.limit_in_bytes $((${limit%MB} * percent * 10000)) 2> /dev/null || return 0
                sleep 0.05
            done
        done
    }
    each in_the_middle down_and_up 0
}

@test "run shared: tat and the program are killed at once, and the next run takes away what they left" {
    source=$MODELS/${models[0]% *} limit=90MB tokens=200
    prepare "$source" --temp 0
    run_under --
    begun 20
    left=$(host)
    kill -KILL $tat "$left"
    while kill -0 "$left" 2> /dev/null; do sleep 0.02; done
    cmp -n "$(stat -c %s text)" "$plain_text" text
    killed=$tat tokens=12
    touch -d "2 minutes ago" tmp/* # a younger folder may be of one that is just beginning
    prepare "$source" --temp 0
    run_under --
    ended 0
    nothing_left
    [ -z "$(find /sys/fs/cgroup -type d -name "tat-*$killed*" 2> /dev/null)" ]
}

# in_container LIMIT COMMAND...: where the whole of the cgroup file system that can be seen is one group's, with that limit.
in_container() {
    [ "$(id -u)" = 0 ] || skip "memory cgroups need root"
    [ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ] || skip "no cgroup of version 1"
    parent=/sys/fs/cgroup/memory/shared-$$
    mkdir "$parent"
    echo "$1" > "$parent/memory.limit_in_bytes"
    bash -c 'echo $$ > "$0/cgroup.procs" && exec unshare -C -m "$@"' "$parent" sh -c 'mount -t tmpfs none /sys/fs/cgroup &&
        mkdir /sys/fs/cgroup/memory && mount -t cgroup -o memory none /sys/fs/cgroup/memory && exec "$@"' sh "${@:2}"
}

@test "run shared: in a container the limit is the container's, with or without --memory" {
    contained() {
        prepare "$source" "${sampling[@]}"
        for told in "" "--memory $((2 * ${limit%MB}))MB"; do
            rm -f "$PWD"/copy.gguf
            cp "$source" copy.gguf # which nobody else has in memory
            # shellcheck disable=SC2086
            in_container "${limit%MB}000000" "$TAT" run $told -- "${command[@]/#$source/$PWD/copy.gguf}" \
                < /dev/null > text 2> talk 3>&- || { cat talk; return 1; }
            grep '^tat' talk
            was_managed
            grep -q "managing .* of [0-9.]* MiB (${limit%MB} MB): " talk
            ends_early "$plain_text" text || cmp "$plain_text" text
            tat=none nothing_left
            rmdir "$parent" # in which there is no group any more
        done
    }
    each contained
}

# The second one finds the memory taken, and may be left to the kernel. Where both grow at once the kernel may kill one (doc/run.md).
@test "run shared: two programs on one model under one limit" {
    both() {
        prepare "$source" "${sampling[@]}"
        limit=$((2 * ${limit%MB} * 4 / 5))MB
        rm -f statuses
        run_under -- sh -c '"$@" > second & "$@"; first=$?; wait $!; second=$?; echo $first $second > statuses' sh
        wait $tat || true
        grep '^tat' talk
        read -r first second < statuses
        for one in "$first text" "$second second"; do
            [[ ${one% *} == 0 || ${one% *} == 137 ]]
            cmp -n "$(stat -c %s "${one#* }")" "$plain_text" "${one#* }"
        done
        nothing_left
    }
    each both
}

@test "run shared: llama-bench" {
    for each in "${models[@]}"; do
        command=("$LLAMA/llama-bench" -m "$MODELS/${each% *}" -p 16 -n 4 -r 2 -t 2 -o json) limit=${each#* }
        run_under --check --
        wait $tat
        grep '^tat' talk
        was_managed
        nothing_left
        [ "$(python3 -c 'import json; print(*(len(b["samples_ns"]) for b in json.load(open("text"))))')" = "2 2" ]
    done
}

# serve BEFORE...: starts the server with four slots, as an argument of that, and waits for it; its answers are in answers.$run.
serve() {
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$@" "$LLAMA/llama-server" -m "$source" --host 127.0.0.1 --port "$port" -t 2 -np 4 -c 1024 > server.out 2> talk 3>&- &
    server=$! tat=$!
    until python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/health', timeout=5)" 2> /dev/null; do
        kill -0 $server
        sleep 0.2
    done
    python3 "$BATS_TEST_DIRNAME/ask_server.py" "$port" meanwhile 8 "The capital of France is" 6 "Once upon a time" \
        4 "$prompt" 8 "One, two, three" > answers.$run
    kill -TERM $server
    wait $server
    server=
}

@test "run shared: llama-server answers four at once as it does by itself" {
    [ -x "$LLAMA/llama-server" ] || skip "no llama-server: scripts/get-llama.sh 0.3.36 llama-server makes one"
    for model in "SmolLM2-135M-Instruct.Q4_1.gguf 120MB" "SmolLM2-8x2.gguf 260MB"; do
        source=$MODELS/${model% *}
        run=plain serve env
        run=managed serve "$TAT" run --memory "${model#* }" --check --
        grep '^tat' talk
        was_managed
        cmp answers.plain answers.managed
        nothing_left
    done
}
