#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat record --memory, and tat record under sudo: cgroups that go away however a run ends, and root that stays with tat. The
# agent is a library that does nothing. Nearly all of it needs root, and cgroups that root may make here. CC is the compiler.

bats_require_minimum_version 1.5.0

setup_file() {
    echo 'int nothing;' > "$BATS_FILE_TMPDIR/agent.c"
    "${CC:-cc}" -shared -fPIC -o "$BATS_FILE_TMPDIR/agent.so" "$BATS_FILE_TMPDIR/agent.c"
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
}

setup() {
    TAT=${TAT:-tat}
    unset TAT_DIR LD_PRELOAD
    export TAT_AGENT=$BATS_FILE_TMPDIR/agent.so
    cd "$BATS_TEST_TMPDIR"
}

needs_root() {
    [ "$(id -u)" = 0 ] || skip "needs root"
}

needs_cgroups() {
    needs_root
    "$TAT" record --memory 20M -- true 2> refused || [ -s refused ]
    ! grep -q "cgroup" refused || skip "no memory cgroups: $(cat refused)"
}

wait_until() {
    for _ in $(seq 1000); do
        if eval "$1"; then return 0; fi
        sleep 0.02
    done
    echo "never: $1"
    return 1
}

# group_of PID: the folder of the memory cgroup that a process is in.
group_of() {
    local path mount
    path=$(sed -n 's/^[0-9]*:memory://p' "/proc/$1/cgroup")
    mount=$(awk '$9 == "cgroup" && $0 ~ /[ ,]memory(,|$)/ { print $5 }' /proc/self/mountinfo)
    if [ -z "$path" ]; then
        path=$(sed -n 's/^0:://p' "/proc/$1/cgroup")
        mount=$(awk '/ - cgroup2 / { print $5; exit }' /proc/self/mountinfo)
    fi
    echo "$mount$path"
}

# begin_sleeping: tat with a limited program, in $tat and $program; the cgroup is $group.
begin_sleeping() {
    # shellcheck disable=SC2016
    "$TAT" record --memory 20M -- sh -c 'echo $$ > pid; exec sleep 1000' 2> talk 3>&- &
    tat=$!
    wait_until '[ -s pid ]'
    program=$(cat pid)
    group=$(group_of "$program")
}

@test "memory: the program runs in a cgroup with the limit, without swap, and the cgroup is removed" {
    needs_cgroups
    # shellcheck disable=SC2016
    run --separate-stderr "$TAT" record --memory 20M -- sh -c 'cat /proc/self/cgroup'
    [ "$status" -eq 0 ]
    [[ $output == *"/tat-"* ]]
    # shellcheck disable=SC2154
    [[ $stderr == *"of 20.0 MiB of memory in use"* ]]
    begin_sleeping
    limit=$(cat "$group/memory.limit_in_bytes" 2> /dev/null || cat "$group/memory.max")
    [ "$limit" -eq $((20 << 20)) ]
    [ ! -e "$group/memory.memsw.limit_in_bytes" ] || [ "$(cat "$group/memory.memsw.limit_in_bytes")" -eq "$limit" ]
    [ ! -e "$group/memory.swap.max" ] || [ "$(cat "$group/memory.swap.max")" -eq 0 ]
    kill "$program"
    wait "$tat" || [ $? -eq 143 ]
    wait_until '[ ! -e "$group" ]'
}

@test "memory: nothing is left of a killed program, a killed tat, or both" {
    needs_cgroups
    begin_sleeping
    kill -KILL "$program"
    wait "$tat" || [ $? -eq 137 ]
    wait_until '[ ! -e "$group" ]'

    rm pid
    begin_sleeping
    kill -KILL "$tat"
    wait "$tat" || [ $? -eq 137 ]
    grep -qx "$program" "$group/cgroup.procs" # it goes on, limited
    kill "$program"
    wait_until '[ ! -e "$group" ]'

    rm pid
    begin_sleeping
    kill -KILL "$tat" "$program"
    wait "$tat" || [ $? -eq 137 ]
    wait_until '[ ! -e "$group" ]'
}

@test "memory: what a killed reaper leaves behind, the next run removes" {
    needs_cgroups
    begin_sleeping
    for task in /proc/"$tat"/task/*/children; do
        for child in $(cat "$task"); do
            [ "$(cat "/proc/$child/comm")" != tat-reaper ] || reaper=$child
        done
    done
    [ "$(find "/proc/$reaper/fd" -type l | wc -l)" -eq 1 ] # the pipe, nothing of the user's
    [ "$(ps -o sid= -p "$reaper" | tr -d ' ')" = "$reaper" ]
    kill -KILL "$reaper" "$tat" "$program"
    wait "$tat" || [ $? -eq 137 ]
    wait_until '! grep -q . "$group/cgroup.procs" 2> /dev/null' # another test's run may have removed it by now
    run "$TAT" record --memory 20M -- true
    [ ! -e "$group" ]
}

@test "memory: processes that are left running stay in the cgroup, which ends with them" {
    needs_cgroups
    # shellcheck disable=SC2016
    "$TAT" record --memory 20M -- sh -c 'sleep 1000 & echo $! > pid' 2> talk 3>&- &
    tat=$!
    wait_until 'grep -q "still runs" talk'
    kill -INT "$tat"
    wait "$tat"
    program=$(cat pid)
    group=$(group_of "$program")
    [[ $group == */tat-* ]]
    kill "$program"
    wait_until '[ ! -e "$group" ]'
}

@test "memory: a program that does not fit is killed, and why is said" {
    needs_cgroups
    run -137 "$TAT" record --memory 20M -- python3 -c 'x = bytearray(100 << 20)'
    [[ $output == *"the kernel killed the program"*"does not fit in 20.0 MiB"*"(-c 512)"* ]]
    "$HOST" --write model.gguf
    printf '%s\n' '#!/bin/sh' "exec python3 -c 'x = bytearray(100 << 20)'" > llama-greedy
    chmod +x llama-greedy
    run -137 "$TAT" record --memory 20M -- ./llama-greedy -m model.gguf -c 512
    [[ $output == *"does not fit in 20.0 MiB: allow more memory"* && $output != *"(-c 512)"* ]]
    for way in "-lm none" --no-mmap; do
        # shellcheck disable=SC2086
        run -137 "$TAT" record --memory 20M -- ./llama-greedy -m model.gguf $way
        [[ $output == *"its copy of the weights included, does not fit in 20.0 MiB: have it map the model"* ]]
    done
    run -137 "$TAT" record --memory 20M -- ./llama-greedy -m model.gguf -lm mmap+mlock
    [[ $output == *"the weights that it locks in memory included"* ]]
}

@test "memory: sizes are checked, and who may not make a cgroup is told what to do" {
    run -2 "$TAT" record --memory much -- true
    run -2 "$TAT" record --memory 4K -- true
    if [ "$(id -u)" = 0 ]; then
        chmod 777 .
        cp "$TAT" tat # which may lie where only root sees it
        run -4 setpriv --reuid 65534 --regid 65534 --clear-groups ./tat record --memory 20M -- true
    else
        run "$TAT" record --memory 20M -- true
        [ "$status" -ne 0 ] || skip "this user may make cgroups"
    fi
    [[ $output == *"sudo tat record"* ]]
    [ -z "$(ls traces)" ]
}

@test "memory: tat doctor tells who may make a cgroup and who may not" {
    needs_cgroups
    run --separate-stderr "$TAT" doctor --json
    [[ $output == *'"record --memory"'*"can make a cgroup (version "* ]]
    chmod 777 .
    cp "$TAT" tat
    run --separate-stderr setpriv --reuid 65534 --regid 65534 --clear-groups ./tat doctor --json
    [[ $output == *'"record --memory"'*"tat record"* ]]
    [[ $output != *"can make a cgroup"* ]]
}

# ---- cold ----

# resident FILE: pages of it in memory.
resident() {
    fincore -nb -o PAGES "$1" | tr -d ' '
}

# model FILE: a model of the fake host's, all of it in memory.
model() {
    "$HOST" --write "$1"
    cat "$1" > /dev/null
    [ "$(resident "$1")" -gt 0 ]
}

@test "cold: the files that the command names are not in the page cache when it begins" {
    case $(stat -f -c %T .) in tmpfs | ramfs) skip "tmpfs is memory" ;; esac
    for i in 1 2 3 4; do model m$i.gguf; done
    cat m1.gguf > other
    run "$TAT" record --cold=other -- sh -c "fincore -nb -o PAGES m1.gguf m2.gguf m3.gguf m4.gguf other; : m2.gguf" x m1.gguf --model=m3.gguf
    [ "$status" -eq 0 ]
    # shellcheck disable=SC2154
    [ "$(echo "${lines[@]:0:5}" | tr -d ' ')" = "000$(resident m4.gguf)0" ] # nobody named m4
    [[ $output != *"stayed"* ]]
}

@test "cold: what stays in memory is told, and why" {
    case $(stat -f -c %T .) in tmpfs | ramfs) skip "tmpfs is memory" ;; esac
    model m.gguf
    python3 -c 'import mmap, time
f = open("m.gguf")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
sum(m[::4096]); open("mapped", "w").close(); time.sleep(1000)' 3>&- &
    wait_until '[ -e mapped ]'
    run "$TAT" record --cold -- true m.gguf
    kill $!
    [[ $output == *"of m.gguf stayed in memory: python3"*"(process $!) has it mapped"* ]]
    run "$TAT" record --cold -- true
    [[ $output == *"names no GGUF file"*"--cold=FILE"* ]]
    run -2 "$TAT" record --cold=nothing -- true
    [[ $output == *"nothing"*"No such file"* ]]
    [ -z "$(ls traces)" ]
}

@test "cold: a file in tmpfs is told apart" {
    folder=$(mktemp -d /dev/shm/tat.XXXXXX) || skip "no tmpfs"
    case $(stat -f -c %T "$folder") in tmpfs) ;; *) skip "no tmpfs" ;; esac
    "$HOST" --write "$folder/m.gguf"
    run "$TAT" record --cold -- true "$folder/m.gguf"
    rm -r "$folder"
    [[ $output == *"m.gguf is in tmpfs"* ]]
}

# ---- under sudo ----

# as_sudo COMMAND...: as sudo starts it for the user nobody. LeakSanitizer cannot look into a process that changes users.
as_sudo() {
    chmod 777 .
    ASAN_OPTIONS=detect_leaks=0 SUDO_UID=65534 SUDO_GID=65534 SUDO_USER=nobody SUDO_COMMAND=x HOME=/root USER=root LOGNAME=root "$@"
}

@test "sudo: the program runs as the user who called, with that user's environment, and its folder is the user's" {
    needs_root
    # shellcheck disable=SC2016
    run --separate-stderr as_sudo "$TAT" record -o out -- sh -c \
        'grep -E "^([UG]id|Groups|CapPrm|NoNewPrivs):" /proc/self/status; env; stat -c %u "$TAT_RUN_DIR"; touch mine'
    [ "$status" -eq 0 ]
    [[ $output == *"Uid:"$'\t'"65534"$'\t'"65534"$'\t'"65534"$'\t'"65534"* ]]
    [[ $output == *"Gid:"$'\t'"65534"$'\t'"65534"$'\t'"65534"$'\t'"65534"* ]]
    [[ $output == *"Groups:"$'\t'"65534 "* ]]
    [[ $output == *"CapPrm:"$'\t'"0000000000000000"* ]]
    [[ $output == *"USER=nobody"* ]]
    [[ $output == *"LOGNAME=nobody"* ]]
    [[ $output != *"HOME=/root"* && $output != *"SUDO_"* ]]
    [ "${lines[-1]}" = 65534 ]
    [ "$(stat -c %u:%g mine)" = 65534:65534 ]
}

@test "sudo: a limit and I/O events are root's, the program is not" {
    needs_cgroups
    # shellcheck disable=SC2016
    run --separate-stderr as_sudo "$TAT" record --io --memory 20M -o out -- sh -c \
        'id -u; cat /proc/self/cgroup; stat -c %u "$TAT_RUN_DIR"/*.bin'
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = 65534 ]
    [[ $output == *"/tat-"* ]]
    [ "${lines[-1]}" = 65534 ]
    [[ $stderr != *"that needs root"* ]]
}

@test "sudo: root is kept where that is asked for, and where nobody else called" {
    needs_root
    run --separate-stderr as_sudo "$TAT" record --as-root -- id -u
    [ "$output" = 0 ]
    SUDO_UID=0 SUDO_GID=0 run --separate-stderr "$TAT" record -- id -u
    [ "$output" = 0 ]
    for id in x "" -1 4294967295 '65534 '; do
        SUDO_UID=$id SUDO_GID=65534 run -2 "$TAT" record -- id -u
        [[ $output == *"SUDO_UID"* ]]
    done
}
