#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat run around programs that compute no graph. The library is made here: in a process whose program is called $SPEAKER, it
# says at its beginning the lines of the file $FIRST, and at its end those of $LAST. CC is the compiler.

bats_require_minimum_version 1.5.0

setup_file() {
    cat > "$BATS_FILE_TMPDIR/manager.c" << 'C'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(const char * variable) {
    const char *speaker = getenv("SPEAKER"), *file = getenv(variable), *told = getenv("TAT_MANAGE");
    const char * path = told ? strstr(told, "report=") : NULL;
    char line[3000], text[4000];
    if (!speaker || !file || !path || strcmp(speaker, program_invocation_short_name) != 0) { return; }
    FILE * lines = fopen(file, "r");
    while (lines && fgets(line, sizeof line, lines)) {
        const int fd = open(path + 7, O_RDWR | O_NONBLOCK), length = sprintf(text, "%d %s", (int) getpid(), line);
        if (fd >= 0 && write(fd, text, (size_t) length) != length) { abort(); }
        close(fd);
    }
    if (lines) { fclose(lines); }
}

__attribute__((constructor)) static void begin(void) { say("FIRST"); }
__attribute__((destructor)) static void end(void) { say("LAST"); }
C
    "${CC:-cc}" -shared -fPIC -o "$BATS_FILE_TMPDIR/manager.so" "$BATS_FILE_TMPDIR/manager.c"
}

setup() {
    TAT=${TAT:-tat}
    unset TAT_DIR LD_PRELOAD TAT_RUN_DIR TAT_MANAGE
    export TAT_MANAGER=$BATS_FILE_TMPDIR/manager.so SPEAKER=sleep FIRST=$BATS_TEST_TMPDIR/first LAST=$BATS_TEST_TMPDIR/last
    export TMPDIR=$BATS_TEST_TMPDIR/tmp XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache XDG_STATE_HOME=$BATS_TEST_TMPDIR/state
    mkdir "$TMPDIR"
    cd "$BATS_TEST_TMPDIR"
}

# tells FIRST LAST: what the library says.
tells() {
    printf '%s\n' "$1" > "$FIRST"
    printf '%s\n' "$2" > "$LAST"
}

wait_until() {
    for _ in $(seq 1000); do
        if eval "$1"; then return 0; fi
        sleep 0.02
    done
    echo "never: $1"
    return 1
}

@test "run: output, exit status and signals are the command's, and nothing is left behind" {
    run -0 --separate-stderr "$TAT" run -- echo a b
    [ "$output" = "a b" ]
    run -7 "$TAT" run sh -c 'exit 7'
    run -127 "$TAT" run -- no-such-program
    [[ $output == *"tat run: no-such-program: no such program"* ]]
    # shellcheck disable=SC2016
    run -143 "$TAT" run -- sh -c 'kill $$'
    [ -z "$(ls "$TMPDIR")" ]
    [ ! -e traces ]
}

@test "run: the library is told what was asked for" {
    # shellcheck disable=SC2016
    asked() { "$TAT" run "$@" -- sh -c 'echo "${TAT_MANAGE%report=*} $TAT_RECORD"; p=${TAT_MANAGE#*report=}; [ -p "$p" ]' 2> talk; }
    [ "$(asked)" = "memory=0;strategy=pin+stream+cache;disk=0;reader=any;check=0; 0" ]
    [ "$(asked --strategy cache,pin,pin --disk 1.5G/s --check --reader threads)" = \
        "memory=0;strategy=pin+cache;disk=1610612736;reader=threads;check=1; 0" ]
    [ "$(asked --strategy stream --disk auto --reader uring)" = "memory=0;strategy=stream;disk=0;reader=uring;check=0; 0" ]
    [[ $(asked --strategy willneed,lock) == *";strategy=lock+willneed;"* ]]
    [[ $(asked --strategy demand,stream) == *";strategy=stream+demand;"* ]]
    [[ $(asked --strategy pread,cache,stream) == *";strategy=stream+cache+pread;"* ]]
    [ "$(asked --strategy pin --foresee markov)" = "memory=0;strategy=pin;disk=0;reader=any;check=0;foresee=markov; 0" ]
    [ "$(asked --memory 30M)" = "memory=31457280;strategy=pin+stream+cache;disk=0;reader=any;check=0; 0" ]
}

# plan GATE RATE: as tat plan writes it, for 30 MiB.
plan() {
    echo "{\"format\": \"tat-plan\", \"headline\": \"so and so\", \"values\": {\"gate\": \"$1\", \"memory_bytes\": 31457280, \"tokens_per_second\": $2}}" > plan.json
}

@test "run: a plan's memory and expectation are the library's, and where it found no gain, that" {
    # shellcheck disable=SC2016
    asked() { "$TAT" run --plan plan.json "$@" -- sh -c 'echo "${TAT_MANAGE%report=*}"' 2> talk; }
    plan open 12.3456
    [ "$(asked)" = "memory=31457280;strategy=pin+stream+cache;disk=0;reader=any;check=0;predicted=12345;gain=1;" ]
    [[ $(asked --memory 40M) == "memory=41943040;"*";predicted=0;gain=1;" ]] # it is for less
    [[ $(asked --strategy pin) == *";predicted=0;gain=1;" ]]
    plan no_gain 12
    [[ $(asked) == *";gain=0;" ]]
    grep -q "by the plan: so and so" talk
}

@test "run: what is no plan is said, and the command is not run" {
    for bad in '{' '[]' '{"format": "tat-plan"}' '{"format": "x", "values": {"gate": "open", "memory_bytes": 1}}' \
        '{"format": "tat-plan", "values": {"gate": "open", "memory_bytes": -5}}'; do
        echo "$bad" > plan.json
        run -3 "$TAT" run --plan plan.json -- touch ran
        [[ $output == *plan.json* ]]
    done
    run -3 "$TAT" run --plan nothing -- touch ran
    [ "$output" = "tat run: unable to open nothing: No such file or directory" ]
    [ ! -e ran ]
}

@test "run: wrong usage is said" {
    for wrong in "--memory much" "--memory 4K" "--strategy fly" "--strategy pin," "--strategy " "--strategy lock,stream" "--strategy pread,populate" "--disk fast" "--reader cat" "--foresee stars" ""; do
        # shellcheck disable=SC2086
        run -2 "$TAT" run $wrong ${wrong:+--} ${wrong:+true}
        [[ $output == *"tat run: "* ]]
    done
    run -2 "$TAT" run --memory 200 -- true
    [[ $output == "tat run: --memory 200: that is 200 bytes;"* ]]
    TAT_RUN_DIR=$PWD run -2 "$TAT" run -- true
    [[ $output == *"within \`tat record\`"* ]]
    TAT_MANAGER=nowhere run -4 "$TAT" run -- true
    [[ $output == *"TAT_MANAGER names nowhere"* ]]
    [ -z "$(ls "$TMPDIR")" ]
}

@test "run: says at once what is managed, and in the end what came of it" {
    tells "begin pinned=49400000 streamed=0 ring=0 cached=415236096 cache=113246208 left=0 limit=200000000 pool=170000000 reader=uring direct=1 predicted=21000" \
        "end tokens=48 ns=2364532019 wait_ns=1442364532 read=3650722201 token_read=2793406464 token_wanted=1000 token_held=520 checked=1234 wrong=0 handed_back=0 predicted=21000"
    "$TAT" run -- sleep 1000 2> talk 3>&- &
    tat=$!
    wait_until '[ -s talk ]'
    [ "$(cat talk)" = "tat run: managing 443 MiB of weights in 162 MiB of 191 MiB (200 MB): 47.1 MiB pinned, 108 MiB for 396 MiB of experts; read by io_uring past the page cache; 21.0 tokens/s predicted" ]
    kill $tat
    wait $tat || [ $? -eq 143 ]
    [ "$(tail -1 talk)" = "tat run: what came of it is not known: the program was killed by signal 15 (Terminated)" ]
    run -0 "$TAT" run -- sleep 0
    [ "${#lines[@]}" -eq 3 ]
    [ "${lines[1]}" = "tat run: predicted 21.0 tokens/s, delivered 20.3; read 55.5 MiB a generated token (3.40 GiB in all), 52.0 % of expert bytes were in memory; waited 61.0 % of the time for what tat reads" ]
    [ "${lines[2]}" = "tat run: 1,234 pieces compared with the file: no difference" ]
    [ -z "$(ls "$TMPDIR")" ]
}

@test "run: a note is shown as it comes, and takes the place of a reason" {
    tells $'note the model fits:\033[31m nothing was changed' ""
    run -0 "$TAT" run -- sleep 0
    [ "$output" = "tat run: the model fits:?[31m nothing was changed" ]
    tells "begin pinned=1048576" "end "
    # shellcheck disable=SC2016
    run -0 "$TAT" run -- sh -c 'sleep 0; sleep 0'
    [ "${lines[0]}" = "tat run: managing 1.00 MiB of weights: 1.00 MiB pinned" ]
    [[ ${lines[1]} == "tat run: process "*": managing 1.00 MiB"* ]]
    [ "${#lines[@]}" -eq 2 ]
}

@test "run: a program that ends without a closing line leaves what was known by then" {
    tells $'begin pinned=1048576\nso_far tokens=5 ns=1000000000\nso_far tokens=20 ns=1000000000' ""
    # shellcheck disable=SC2016
    run -130 "$TAT" run -- sh -c 'sleep 0; exit 130'
    [ "${lines[1]}" = "tat run: what came of it until a moment before its end: the program ended at once, with status 130" ]
    [ "${lines[2]}" = "tat run: delivered 20.0 tokens/s" ]
    [ "${#lines[@]}" -eq 3 ]
    tells "begin pinned=1048576" ""
    # shellcheck disable=SC2016
    run -159 "$TAT" run -- sh -c 'sleep 0; kill -SYS $$'
    [[ ${lines[1]} == *"what came of it is not known: the program was killed by signal 31 (Bad system call): a seccomp filter"* ]]
}

@test "run: whatever a program writes, tat prints lines that are safe, and not many" {
    { printf '\n\n%0999d\nbegin\nend \nbegin pinned=-1 =\nnote \nend tokens=x ns=1 read=99999999999999999999\n' 7
      for i in $(seq 300); do echo "note $i"; done; } > first
    tells "$(cat first)" "$(printf 'note \001\377\302\233x')"
    run -0 "$TAT" run -- sleep 0
    [[ $output == *"there are more such lines, which are not shown"* ]]
    [ "${#lines[@]}" -lt 110 ]
    ! LC_ALL=C grep -q '[^ -~]' <<< "$output"
}

@test "run: why nothing was managed" {
    run -0 "$TAT" run -- sleep 0
    [[ $output == "tat run: not managed: sleep computed no graph that tat could see"* ]]
    run -3 "$TAT" run -- sh -c 'exit 3'
    [[ $output == "tat run: not managed: sh ended with status 3"* ]]
    # shellcheck disable=SC2154
    cp "$BATS_FILE_TMPDIR/manager.c" static.c
    echo 'int main(void) { return 0; }' >> static.c
    "${CC:-cc}" -static -o static static.c 2> /dev/null || skip "no static libc"
    run -0 "$TAT" run -- ./static
    [[ ${lines[0]} == "tat run: warning: "*"is statically linked"* ]]
    [ "${lines[1]}" = "tat run: not managed: see the warning above" ]
}

@test "run: what still runs is waited for, and an interrupt leaves that running" {
    tells "begin pinned=1048576" ""
    # shellcheck disable=SC2016
    "$TAT" run -- sh -c 'sleep 1000 & echo $! > pid; until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done; exit 3' 2> talk 3>&- &
    tat=$!
    wait_until 'grep -q "sleep (process .*, which it started, still runs. Waiting" talk'
    kill -INT $tat
    status=0
    wait $tat || status=$?
    [ "$status" -eq 3 ]
    grep -q "left running$" talk
    kill "$(cat pid)"
    [ -z "$(ls "$TMPDIR")" ]
}

@test "run: what a killed tat left behind, a later run removes, and nothing else" {
    "$TAT" run -- sleep 1000 2> talk 3>&- &
    tat=$!
    wait_until 'ls "$TMPDIR"/*/report > /dev/null 2>&1 && pgrep -P $tat sleep > program'
    left=$(ls -d "$TMPDIR"/tat-run.*)
    touch -d '-1 hour' "$left"
    run -0 "$TAT" run -- true
    [ -p "$left/report" ] # its owner lives
    kill -KILL $tat
    wait $tat || [ $? -eq 137 ]
    kill "$(cat program)"
    mkdir "$TMPDIR/tat-run.mine"
    touch -d '-1 hour' "$left"
    echo x > "$TMPDIR/tat-run.mine/file"
    touch -d '-1 hour' "$TMPDIR/tat-run.mine"
    run -0 "$TAT" run -- true
    [ ! -e "$left" ]
    [ -e "$TMPDIR/tat-run.mine/file" ]
}

@test "run: where no folder can be made, the command runs all the same" {
    tells "begin pinned=1048576" ""
    for folder in relative "$PWD/a;b"; do
        TMPDIR=$folder run -0 "$TAT" run -- sleep 0
        [[ $output == "tat run: managing 1.00 MiB"* ]] # in /tmp
    done
    TMPDIR=$PWD/nowhere run -0 "$TAT" run -- sleep 0
    [[ ${lines[0]} == "tat run: warning: nothing can be reported of the run: $PWD/nowhere: "* ]]
}

@test "run: where no cgroup can be made, the limit still holds for what is managed" {
    tells "begin pinned=1048576 limit=31457280" "end "
    command=("$TAT" run --memory 30M -- sleep 0)
    if [ "$(id -u)" = 0 ]; then
        chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
        chmod 777 . "$TMPDIR"
        cp "$TAT" tat # which may lie where only root sees it
        command=(setpriv --reuid 65534 --regid 65534 --clear-groups ./tat run --memory 30M -- sleep 0)
    fi
    run -0 "${command[@]}"
    [[ $output != *"memory in use"* ]] || skip "everybody may make a cgroup here"
    [[ ${lines[0]} == "tat run: warning: no cgroup limits the program: "* ]]
    [ "${lines[1]}" = "tat run: managing 1.00 MiB of weights in 30.0 MiB of memory: 1.00 MiB pinned" ]
}

@test "run: with --record there is a folder for the trace, and none if nothing was recorded" {
    # shellcheck disable=SC2016
    run -0 --separate-stderr "$TAT" run --record=here -- sh -c 'echo "$TAT_RUN_DIR ${TAT_RECORD-unset}"; ls -d here'
    [ "$output" = "$PWD/here unset
here" ]
    [ ! -e here ]
    # shellcheck disable=SC2016
    run -0 --separate-stderr "$TAT" run --record -- sh -c 'echo "$TAT_RUN_DIR"'
    [[ $output == "$PWD/traces/run_"* ]]
    [ ! -e "$output" ]
}

@test "run: a model that fits is left alone, and a line says why; with --record it is recorded" {
    unset TAT_MANAGER SPEAKER
    export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 # of the library, if it has such
    "${HOST%_linked}1" --write toy.gguf
    "${HOST%_linked}1" -g 40 toy.gguf > plain
    for record in "" --record=here; do
        # shellcheck disable=SC2086
        "$TAT" run $record -- "${HOST%_linked}1" -g 40 toy.gguf > text 2> talk
        cmp plain text
        [[ "$(head -1 talk)" == "tat run: not managed: "*"fit in memory"* ]]
    done
    grep -q "^tat: .*40 graphs.*in $PWD/here" talk
    "$TAT" verify here | grep -q "^identity *good"
}

# computing: a program that computes, and can be recorded, in $computes; its output without tat in the file plain.
computing() {
    export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 # of the library, if it has such
    computes=${HOST%_linked}1
    SPEAKER=$(basename "$computes")
    "$computes" --write toy.gguf
    "$computes" -g 40 toy.gguf > plain
}

kept() { ls cache/tat/plans/*.json; }

@test "run: --plan auto makes a plan the first time, keeps it, and prints nothing of the command twice" {
    computing
    tells "begin pinned=1048576" "end tokens=20 ns=1000000000"
    "$TAT" run --plan auto --memory 1G -- sh -c "echo x >> count; exec $computes -g 40 toy.gguf" > text 2> talk
    cmp plain text
    [ "$(wc -l < count)" -eq 2 ]
    grep -q "^tat run: recording about 32 generated tokens first, without output: sh " talk
    grep -q "^tat run: recorded [0-9]* generated tokens in " talk
    grep -q "^tat run: by the plan: Nothing to do: " talk
    grep -q "^tat run: managing " talk # whether it fits, the manager knows better
    [ -z "$(ls "$TMPDIR")" ] && [ ! -e traces ]
    [ "$(stat -c %a "$(kept)")" = 600 ]
    "$TAT" run --plan auto --memory 1G -- sh -c "echo x >> count; exec $computes -g 40 toy.gguf" > text 2> talk
    cmp plain text
    [ "$(wc -l < count)" -eq 3 ]
    grep -q "^tat run: by the plan that was made before: " talk
    run ! grep -q recording talk
    # of another memory, or another model at the path, it says nothing
    "$TAT" run --plan auto --memory 2G -- sh -c "echo x >> count; exec $computes -g 40 toy.gguf" > text 2> talk
    touch -d '-1 hour' toy.gguf
    "$TAT" run --plan auto --memory 1G -- sh -c "echo x >> count; exec $computes -g 40 toy.gguf" > text 2> talk
    [ "$(wc -l < count)" -eq 7 ]
}

@test "run: a plan that was kept and is not one any more is made anew" {
    computing
    auto() { "$TAT" run --plan auto --memory 1G -- "$computes" -g 40 toy.gguf > text 2> talk && cmp plain text; }
    auto
    path=$(kept)
    cp "$path" good
    for how in 'echo {' 'head -c 3000000 /dev/zero | tr "\\0" " "' 'sed "s/\"gate\"/\"x\"/" good' 'sed "s/\"inode\": /\"inode\": 1/" good' 'printf "\\0"'; do
        eval "$how" > "$path"
        auto
        grep -q "^tat run: recording " talk
    done
    chmod 666 "$path"
    auto
    grep -q "^tat run: recording " talk
    rm "$path" && mkfifo "$path"
    auto
    [ -f "$path" ]
    ln -sf "$PWD/good" "$path"
    auto
    grep -q "^tat run: recording " talk && [ ! -L "$path" ]
}

@test "run: --plan auto without tokens to record, or a place to keep a plan, goes on and says so" {
    computing
    run -0 --separate-stderr "$TAT" run --plan auto -- echo a
    [ "$output" = a ]
    [[ $stderr == *"tat run: no plan: echo generated no token while it was recorded"* ]]
    echo > file
    XDG_CACHE_HOME=$PWD/file "$TAT" run --plan auto --memory 1G -- "$computes" -g 40 toy.gguf > text 2> talk
    cmp plain text
    grep -q "^tat run: the plan is not kept: " talk
}

@test "run: what a kept plan says of more memory and less is what a run without a plan is predicted" {
    computing
    tells "begin pinned=1 pool=3000000 reader=uring direct=1 predicted=0" "end tokens=20 ns=1000000000 predicted=0"
    "$TAT" run --disk 1G/s -- "$computes" -g 40 toy.gguf 2>&1 > text | grep -q "^tat run: delivered 20.0"
    "$TAT" run --plan auto --memory 1G --disk 1G/s -- "$computes" -g 40 toy.gguf > text 2> talk
    python3 - "$(kept)" << 'P'
import json, sys
plan = json.load(open(sys.argv[1]))
plan["tables"]["memory"]["rows"] = [{"budget_bytes": 2000000, "tokens_per_second": 10}, {"budget_bytes": 4000000, "tokens_per_second": 30},
                                    {"budget_bytes": 3500000, "note": "x"}, {"budget_bytes": 3000000, "tokens_per_second": -1}, 7]
json.dump(plan, open(sys.argv[1], "w"))
P
    # 15 tokens/s take 66.7 ms each, the mean of 100 and 33.3
    "$TAT" run --memory 2G --disk 1G/s -- "$computes" -g 40 toy.gguf > text 2> talk
    cmp plain text
    grep -q "; 15.0 tokens/s predicted$" talk
    grep -q "^tat run: predicted 15.0 tokens/s, delivered 20.0" talk
    for other in "--strategy pin --disk 1G/s" "--disk 2G/s" "--reader threads --disk 1G/s"; do
        # shellcheck disable=SC2086
        "$TAT" run $other -- "$computes" -g 40 toy.gguf > text 2> talk
        run ! grep -q predicted talk
    done
    tells "begin pinned=1 pool=5000000 reader=uring direct=1 predicted=0" "end tokens=20 ns=1000000000 predicted=0"
    "$TAT" run --disk 1G/s -- "$computes" -g 40 toy.gguf > text 2> talk
    run ! grep -q predicted talk # it does not say what so much memory gives
}

@test "run: with --record, what the manager said and the plan are beside the trace" {
    export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0
    SPEAKER=$(basename "$HOST")
    "$HOST" --write toy.gguf
    plan open 12.5
    tells $'begin pinned=1048576 cache=7 reader=uring direct=1 predicted=12500\nnote a\tb' "end tokens=20 ns=1000000000 wait_ns=250000000 predicted=12500"
    "$TAT" run --memory 30M --plan plan.json --record=here -- "$HOST" -g 20 toy.gguf > text 2> talk
    cmp <(python3 -m json.tool plan.json) <(python3 -m json.tool here/plan.json)
    python3 - here/managed.json << 'P'
import json, sys
said = json.load(open(sys.argv[1]))
assert (said["format"], said["version"]) == ("tat-managed", 1)
begin, note, end = said["lines"]
assert begin["kind"] == "begin" and begin["pinned"] == 1048576 and begin["reader"] == "uring" and begin["pid"] > 0
assert note["text"] == "a\tb" and end["wait_ns"] == 250000000 and begin["at_ns"] <= note["at_ns"] <= end["at_ns"]
P
    "$TAT" report --section managed here | grep -q "Predicted 12.5 tokens/s, delivered 20.0: the prediction is off by -37.5 %"
    TAT_PRIVATE=1 "$TAT" run --memory 30M --plan plan.json --record=private -- "$HOST" -g 20 toy.gguf > text 2> talk
    [ -s private/plan.json ] && run ! grep -q model_files private/plan.json
    "$TAT" rm here && [ ! -e here ]
}

# as_sudo COMMAND...: as sudo starts it for the user nobody.
as_sudo() {
    ASAN_OPTIONS=detect_leaks=0 SUDO_UID=65534 SUDO_GID=65534 SUDO_USER=nobody SUDO_COMMAND=x HOME=/root USER=root LOGNAME=root "$@"
}

@test "run: under sudo the program is the user's, and its reports arrive" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
    chmod 777 . "$TMPDIR"
    tells "begin pinned=1048576" "end tokens=20 ns=1000000000"
    chmod 644 "$FIRST" "$LAST"
    # shellcheck disable=SC2016
    run -0 as_sudo "$TAT" run -- sh -c 'id -u; stat -c %u "${TAT_MANAGE#*report=}"; sleep 0'
    [ "${lines[0]} ${lines[1]}" = "65534 65534" ]
    [[ $output == *"tat run: managing 1.00 MiB of weights: 1.00 MiB pinned"*"tat run: delivered 20.0 tokens/s" ]]
    [ -z "$(ls "$TMPDIR")" ]
}
