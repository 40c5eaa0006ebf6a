#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The frame: help, commands that there are not, programs tat-NAME, completions, man pages. TAT is the program under test.

bats_require_minimum_version 1.5.0

setup() {
    TAT=${TAT:-tat}
    cd "$BATS_TEST_TMPDIR"
}

commands() {
    "$TAT" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'
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
    for name in "" $(commands); do
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
