#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The host's files: its locks on them stay, and the trace knows them wherever they are.
# From the environment: AGENT, HOST_DIR (the programs).

setup() {
    toy="$BATS_FILE_TMPDIR/toy.gguf"
    [ -e "$toy" ] || "$HOST_DIR/fake_host1" --write "$toy"
    traces="$BATS_TEST_TMPDIR/traces"
    mounts="$BATS_TEST_TMPDIR/mounts"
    mkdir "$traces" "$mounts"
}

teardown() {
    awk -v below="$mounts" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | while IFS= read -r mount; do
        umount "$(printf %b "$mount")" # a space is written as \040
    done
}

# compare ARGUMENT...: runs the fake host untraced and traced, and expects the same output. Its facts go to $facts.
compare() {
    plain=$("$HOST_DIR/fake_host1" -g 70 "$@")
    seen=$(TAT_DIR="$traces" LD_PRELOAD="${simulation:+$simulation }$AGENT" "$HOST_DIR/fake_host1" -g 70 "$@")
    echo "$plain"
    echo "$seen"
    [ "$plain" = "$seen" ]
    facts=$("$HOST_DIR/check_trace" "$traces")
    echo "$facts"
}

fact() {
    awk -v name="$1" '$1 == name { print $2 }' <<< "$facts"
}

# All weights are of one model and in its mapping; the file was read once for several graphs.
in_the_file() {
    [ "$(fact model_files) $(fact own_reads) $(fact in_file)" = "1 1 $weights" ]
    [ "$(fact copied) $(fact of_no_file) $(fact notes)" = "0 0 0" ]
    [ "$(fact templates)" -ge 4 ]
}
weights=32 # that a graph uses

@test "record locks on the model and on another mapped file are held" {
    head -c 8192 /dev/zero > "$BATS_TEST_TMPDIR/database"
    compare --locks "$BATS_TEST_TMPDIR/database" "$toy"
    [[ $plain == *"model held, other held"* ]]
    in_the_file
}

@test "record locks are held where weights are searched in all that is mapped" {
    head -c 8192 /dev/zero > "$BATS_TEST_TMPDIR/database"
    TOY_COPIED=1 compare --locks "$BATS_TEST_TMPDIR/database" "$toy"
    [[ $plain == *"model held, other held"* ]]
    [ "$(fact model_files) $(fact copied) $(fact of_no_file)" = "1 $weights 0" ]
}

@test "record locks are held where threads get no descriptors of their own" {
    head -c 8192 /dev/zero > "$BATS_TEST_TMPDIR/database"
    compare --no-own-descriptors --locks "$BATS_TEST_TMPDIR/database" "$toy"
    [[ $plain == *"model held, other held"* ]]
    in_the_file
}

@test "a file whose device the kernel tells in two ways" {
    simulation=$HOST_DIR/libshifted_devices.so
    compare "$toy"
    in_the_file
}

@test "a model on btrfs, in a subvolume" {
    PATH=$PATH:/usr/sbin:/sbin
    command -v mkfs.btrfs > /dev/null || skip "no mkfs.btrfs: scripts/install-deps.sh test installs it"
    truncate -s 120M "$BATS_TEST_TMPDIR/image"
    mkfs.btrfs -q "$BATS_TEST_TMPDIR/image" > /dev/null
    mount -o loop "$BATS_TEST_TMPDIR/image" "$mounts" || skip "no btrfs can be mounted here"
    mkdir "$mounts/traces" # which umount waits for
    btrfs subvolume create "$mounts/sub" > /dev/null
    cp "$toy" "$mounts/sub"
    compare "$mounts/sub/toy.gguf"
    in_the_file
    umount "$mounts"
}

# over LOWER...: an overlay of these folders, at $mounts/over.
over() {
    mkdir -p "$mounts/"{over,upper,work}
    local lower
    lower=$(IFS=:; echo "$*")
    mount -t overlay overlay -o "lowerdir=$lower,upperdir=$mounts/upper,workdir=$mounts/work" "$mounts/over" ||
        skip "no overlay can be mounted here"
}

@test "a model in an overlay: below, and written to it" {
    mkdir "$BATS_TEST_TMPDIR/below"
    cp "$toy" "$BATS_TEST_TMPDIR/below"
    mount -t tmpfs tat-test "$mounts" || skip "no file system can be mounted here"
    over "$BATS_TEST_TMPDIR/below"
    compare "$mounts/over/toy.gguf"
    in_the_file
    rm -rf "${traces:?}"/*
    cp "$toy" "$mounts/over/written.gguf"
    compare "$mounts/over/written.gguf"
    in_the_file
}

@test "a model in an overlay of several file systems" {
    mkdir "$BATS_TEST_TMPDIR/below"
    mount -t tmpfs tat-test "$mounts" || skip "no file system can be mounted here"
    mkdir "$mounts/small"
    mount -t tmpfs tat-test "$mounts/small"
    cp "$toy" "$mounts/small"
    over "$BATS_TEST_TMPDIR/below" "$mounts/small"
    compare "$mounts/over/toy.gguf"
    in_the_file
}

@test "a model that is mounted by itself" {
    mount -t tmpfs tat-test "$mounts" || skip "no file system can be mounted here"
    touch "$mounts/other name"
    mount --bind "$toy" "$mounts/other name"
    compare "$mounts/other name"
    in_the_file
    umount "$mounts/other name"
}
