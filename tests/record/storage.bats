#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat record --io of a real llama.cpp on a disk of its own: what the kernel tells in one way has to agree with what it tells in
# others, and nothing may be left behind, whoever is killed.

load common

disk=
folder=

setup() {
    [ "$(id -u)" = 0 ] || skip "the page cache's and the disk's events need root"
    model random-llama.gguf
    cd "$BATS_TEST_TMPDIR"
}

teardown() {
    [ -z "$folder" ] || umount "$folder"
    [ -z "$disk" ] || losetup --detach "$disk"
    folder=
    disk=
}

# on_disk TYPE: the model on a file system of its own, on a disk of its own.
on_disk() {
    command -v "mkfs.$1" > mkfs || skip "no mkfs.$1"
    truncate -s 300M image
    disk=$(losetup --find --show --direct-io=on image 2> why || losetup --find --show image 2> why) || skip "no loop device: $(cat why)"
    "mkfs.$1" -q "$disk"
    mkdir -p mounted
    mount "$disk" mounted 2> why || skip "no $1: $(cat why)"
    folder=$PWD/mounted
    cp "$model" mounted/model.gguf
    model=$PWD/mounted/model.gguf
}

# io_recorded OPTION...: under pressure, the same text as untraced.
io_recorded() {
    completion . -n 2 -c 256 -t 2 > untraced 2> stderr
    completion "$TAT" record --io "$@" -o trace -- . -n 2 -c 256 -t 2 > traced 2> stderr || {
        cat stderr
        return 1
    }
    ends_early untraced traced || cmp untraced traced
    "$TAT" verify trace > /dev/null
    "$TAT" report --section storage --json trace > storage.json
}

# has_instance PID: in tracefs, which need not be mounted here.
has_instance() {
    unshare --mount sh -c 'cd /sys/kernel/tracing
        [ -e instances ] || mount -t tracefs none .
        ls /sys/kernel/tracing/instances' | grep -q "^tat-$1-"
}

@test "storage: on a disk of its own every byte is placed, and all who count agree" {
    on_disk ext4
    io_recorded --memory 64M
    ! grep -q "not recorded" stderr || skip "$(grep "not recorded" stderr)"
    grep -qE "^tat: [0-9.]+ [KMG]iB of the run's files came into memory" stderr
    python3 - "$(filefrag -e "$model" | grep -cE '^ *[0-9]+: ')" "$disk" <<'PY'
import json, os, sys
storage = json.load(open("storage.json"))["storage"]
v = storage["values"]
tables = storage["tables"]
size = os.path.getsize("mounted/model.gguf")
assert v["placed_share"] >= 0.99, v
assert abs(v["pages_difference"]) < 0.02, v
assert abs(v["process_difference"]) < 0.02, (v, tables["totals"]["rows"])
assert size * 0.95 < v["unique_bytes"] <= size + 65536, v
assert v["disk_bytes"] >= v["unique_bytes"] and v["reread_factor"] >= 1, v
assert v["lost_events"] == 0, v
assert [r["fragments"] for r in tables["extents"]["rows"] if r["file"] == "model.gguf"] == [int(sys.argv[1])], tables["extents"]["rows"]
PY
}

@test "storage: other file systems: the text is the same, and what cannot be known is said" {
    original=$model
    for type in btrfs xfs; do
        command -v "mkfs.$type" > mkfs && grep -qw "$type" /proc/filesystems || continue
        on_disk "$type"
        io_recorded --cold
        python3 -c '
import json, os
v = json.load(open("storage.json"))["storage"]["values"]
assert v["unique_bytes"] >= 0.95 * os.path.getsize("mounted/model.gguf"), v'
        teardown
        rm -rf trace image
        model=$original
    done
    mkdir memory
    mount -t tmpfs none memory
    folder=$PWD/memory
    cp "$model" memory/model.gguf
    model=$PWD/memory/model.gguf
    io_recorded
    grep -q "tmpfs" storage.json
    grep -q "which requests to disks were for the model is not known" stderr
}

# What only tat mounts; other programs may mount what they like meanwhile.
mounted_here() { grep -c " tracefs " /proc/mounts || true; }

@test "storage: whoever is killed, no instance, mount or group is left" {
    completion "$TAT" record --io --memory 200M -o run . -n 1 -c 256 > talk 2>&1
    before=$(mounted_here)
    for victim in tat program both; do
        rm -rf run program
        "$TAT" record --io --memory 50M -o run -- sh -c 'echo $$ > program; exec sleep 1000' 2> talk 3>&- &
        tat=$!
        until [ -s program ]; do sleep 0.05; done
        has_instance $tat || {
            kill -KILL $tat "$(cat program)"
            skip "no trace events here"
        }
        case $victim in
            tat) kill -KILL $tat ;;
            program) kill -KILL "$(cat program)" ;;
            both) kill -KILL $tat "$(cat program)" ;;
        esac
        wait $tat 2> /dev/null || true
        while has_instance $tat; do sleep 0.05; done
        kill -KILL "$(cat program)" 2> /dev/null || true
        rm program
        while find /sys/fs/cgroup -maxdepth 6 -name "tat-$tat-*" 2> /dev/null | grep .; do sleep 0.05; done
    done
    [ "$(mounted_here)" = "$before" ]
}

@test "storage: without root, less is recorded, and that is said" {
    id nobody > /dev/null 2>&1 || skip "no other user"
    nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/)
    "${nobody[@]}" test -x "$TAT" || skip "nobody may run $TAT"
    folder_of_all=$(mktemp -d)
    chmod 777 "$folder_of_all"
    run "${nobody[@]}" "$TAT" record --io -o "$folder_of_all/run" -- true
    rm -rf "$folder_of_all"
    echo "$output"
    [[ $output != *"of the run's files came"* ]]
    [[ $output == *"page cache and disk were not recorded, only sampled: "*"root"* ]]
}
