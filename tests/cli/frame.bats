#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The frame: help, commands that there are not, programs tat-NAME, completions, man pages. TAT is the program under test.

bats_require_minimum_version 1.5.0

setup() {
    TAT=${TAT:-tat}
    cd "$BATS_TEST_TMPDIR"
}

commands() { # those that are built in
    "$TAT" --help | sed '/^In Python:/,$d' | sed -n 's/^  \([a-z]*\)  .*/\1/p'
}

@test "frame: help goes to stdout and names the commands in groups" {
    run "$TAT" --help
    [ "$status" -eq 0 ]
    [[ $output == "Usage: tat COMMAND"* ]]
    for name in record list rm verify gguf; do
        commands | grep -qx "$name"
    done
    [[ $output == *"Record and manage traces:"* ]]
}

@test "frame: no command at all is wrong usage" {
    run --separate-stderr "$TAT"
    [ "$status" -eq 2 ]
    [ -z "$output" ]
    [[ $stderr == Usage* ]]
}

@test "frame: --version" {
    run "$TAT" --version
    [ "$status" -eq 0 ]
    [[ $output =~ ^tat\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "frame: every command explains itself on stdout" {
    for name in $(commands); do
        run "$TAT" "$name" --help
        [ "$status" -eq 0 ]
        [[ $output == "Usage: tat $name"* ]]
        [[ $output == *"Examples:"* ]]
        [ "$("$TAT" help "$name")" = "$output" ]
        [ "$("$TAT" "$name" -h)" = "$output" ]
    done
}

# too_wide: lines of more than 80 columns on standard input, each with its width.
too_wide() { awk 'length > 80 { print length ": " $0 }'; }

@test "frame: no line of help is wider than a terminal" {
    run too_wide < <("$TAT" --help; for name in $(commands); do "$TAT" "$name" --help; "$TAT" "$name" --usage; done)
    [ -z "$output" ] || { echo "$output"; false; }
}

@test "frame: an unknown option of any command is wrong usage" {
    for name in $(commands); do
        run "$TAT" "$name" --no-such-option
        [ "$status" -eq 2 ]
        [[ $output == *"tat $name"* ]]
    done
}

@test "frame: an unknown command names a near one" {
    run "$TAT" vefiry
    [ "$status" -eq 2 ]
    [[ $output == *"no command 'vefiry'; did you mean 'verify'?"* ]]
    run "$TAT" rec
    [[ $output == *"did you mean 'record'?"* ]]
    run "$TAT" xyzzy
    [ "$status" -eq 2 ]
    [[ $output != *"did you mean"* ]]
}

@test "frame: an unknown option in place of a command" {
    run "$TAT" --nonsense
    [ "$status" -eq 2 ]
}

@test "frame: a program tat-NAME on PATH is a command" {
    mkdir bin
    printf '#!/bin/sh\necho "hello $1"\nexit 9\n' > bin/tat-greet
    chmod +x bin/tat-greet
    PATH=$PWD/bin:$PATH run "$TAT" greet world
    [ "$status" -eq 9 ]
    [ "$output" = "hello world" ]
}

@test "frame: an installation can be moved, with its programs" {
    mkdir -p there/bin there/libexec/tat there/lib/tat
    cp "$TAT" there/bin/tat
    printf '#!/bin/sh\necho moved\n' > there/libexec/tat/tat-where
    chmod +x there/libexec/tat/tat-where
    mv there elsewhere
    run elsewhere/bin/tat where
    [ "$output" = moved ]
    [[ $(elsewhere/bin/tat --help) == *"External commands: where"* ]]
    [[ $(elsewhere/bin/tat wheer 2>&1) == *"did you mean 'where'?"* ]]
}

@test "frame: a name with a slash is no command" {
    printf '#!/bin/sh\necho bad\n' > tat-x
    chmod +x tat-x
    run "$TAT" ./x
    [ "$status" -eq 2 ]
}

@test "frame: a full disk behind stdout is an error" {
    run bash -c '"$0" --help > /dev/full' "$TAT"
    [ "$status" -eq 4 ]
    [[ $output == *"cannot write"* ]]
}

@test "frame: no completion for an unknown shell" {
    run "$TAT" --completion tcsh
    [ "$status" -eq 2 ]
}

@test "frame: every command has a man page that groff takes without a word" {
    for name in "" $(commands) animate parquet plot sql; do
        "$TAT" --man $name > page.1
        head -1 page.1 | grep -q '^\.TH "TAT'
        if command -v groff > /dev/null; then
            run groff -man -Tascii -ww -z page.1
            [ -z "$output" ]
        fi
    done
    run "$TAT" --man nonsense
    [ "$status" -eq 2 ]
}

# on_terminal COMMAND: its output on a terminal of 24 lines, to the file `terminal`; returns its status.
on_terminal() {
    SHELL=/bin/sh script -qec "stty cols 80 rows 24; $1" /dev/null < /dev/null | tr -d '\r' > terminal
    return "${PIPESTATUS[0]}"
}

@test "frame: what is printed on a terminal goes to the pager, and nowhere else" {
    "$HOST" --write toy.gguf
    export TERM=xterm NO_COLOR=1 TAT_PAGER="cat > paged" PAGER="touch wrong"
    for command in "gguf toy.gguf" "gguf --json toy.gguf"; do
        on_terminal "'$TAT' $command"
        [ ! -s terminal ]
        mv paged through
        "$TAT" $command > file
        [ ! -e paged ]
        [ "$command" = "gguf toy.gguf" ] || cmp through file # a table fits the terminal that it is on
    done
    unset TAT_PAGER
    PAGER="cat > paged" on_terminal "'$TAT' gguf toy.gguf"
    [ -s paged ]
    [ ! -e wrong ]
}

@test "frame: no pager where none is wanted" {
    "$HOST" --write toy.gguf
    export TERM=xterm TAT_PAGER="touch used"
    TERM=dumb on_terminal "'$TAT' gguf toy.gguf"
    TAT_PAGER= on_terminal "'$TAT' gguf toy.gguf"
    TAT_PAGER=cat on_terminal "'$TAT' gguf toy.gguf"
    on_terminal "'$TAT' --no-pager gguf toy.gguf"
    grep -q "^tokens   vocabulary 64" terminal
    on_terminal "'$TAT' --help"
    on_terminal "'$TAT' report nothing" || [ $? -eq 3 ]
    [ ! -e used ]
}

@test "frame: a pager that is left early, and a signal while it is read" {
    "$HOST" --write toy.gguf
    export TERM=xterm
    TAT_PAGER="head -c 1 > /dev/null" on_terminal "'$TAT' gguf toy.gguf"
    TAT_PAGER="exec /nonexistent 2> /dev/null" on_terminal "'$TAT' gguf toy.gguf"
    TAT_PAGER="no-such-pager -x" on_terminal "'$TAT' gguf toy.gguf"
    grep -q TENSOR terminal
    rc=0
    TAT_PAGER='kill -INT $PPID; sleep 0.3; cat > /dev/null; echo > read_on' on_terminal "'$TAT' gguf toy.gguf" || rc=$?
    [ "$rc" -eq 130 ]
    [ -e read_on ]
}
