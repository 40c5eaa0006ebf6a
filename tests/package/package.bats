#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The tarball and the .deb, unpacked in folders that the build knows nothing of. From the environment: CPACK, CMAKE, CC, BUILD
# (the build folder), HOST_DIR (the fake host).

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    "$CPACK" --config "$BUILD/CPackConfig.cmake" -B "$PWD" > cpack.log 2>&1 || {
        cat cpack.log
        return 1
    }
    mkdir tarball deb
    tar -xzf tensor-access-tracker-*.tar.gz -C tarball --strip-components=1
    dpkg-deb -x tensor-access-tracker_*.deb deb
    mv tarball elsewhere
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    "$HOST_DIR/fake_host1" --write toy.gguf
    unset TAT_AGENT TAT_MANAGER TAT_DIR
}

# records PREFIX: with its own agent, and the installed tat answers for the trace; so does its own manager.
records() {
    "$1/bin/tat" doctor | grep -q "$1/lib/tat/libtat_agent.so"
    "$1/bin/tat" record -o run -- "$HOST_DIR/fake_host1" -g 40 toy.gguf > traced
    "$HOST_DIR/fake_host1" -g 40 toy.gguf | cmp - traced
    [ "$("$HOST_DIR/check_trace" run | awk '$1 == "stored" { print $2 }')" -gt 0 ]
    "$1/bin/tat" report run | grep -q fake_host1
    "$1/bin/tat" run -- "$HOST_DIR/fake_host1" -g 40 toy.gguf > managed 2> said
    cmp traced managed
    grep -q "^tat run: .*fit in memory" said
}

@test "the tarball, moved" {
    records "$BATS_FILE_TMPDIR/elsewhere"
}

@test "the .deb" {
    records "$BATS_FILE_TMPDIR/deb/usr"
}

@test "the .deb names the libraries that it needs" {
    depends=$(dpkg-deb -f "$BATS_FILE_TMPDIR"/tensor-access-tracker_*.deb Depends)
    for library in libc6 libelf1 libjansson4 libsmartcols1; do grep -q "$library" <<< "$depends"; done
}

@test "the .deb has completions and man pages where Debian looks for them" {
    cd "$BATS_FILE_TMPDIR/deb/usr/share"
    for file in bash-completion/completions/tat fish/vendor_completions.d/tat.fish zsh/vendor-completions/_tat \
        man/man1/tat.1 man/man1/tat-record.1 man/man1/tat-sql.1 doc/tensor-access-tracker/LICENSE; do
        [ -s "$file" ]
    done
}

@test "the tarball's package for static builds, moved" {
    "$CMAKE" -S "$BATS_TEST_DIRNAME/../static/consumer" -B consumer -DCMAKE_C_COMPILER="$CC" -DFIND=ON -DTENSOR_TRACE=ON \
        -DTensorAccessTracker_DIR="$BATS_FILE_TMPDIR/elsewhere/lib/cmake/TensorAccessTracker"
    "$CMAKE" --build consumer
    TAT_DIR=traces consumer/host toy.gguf > /dev/null
    "$HOST_DIR/check_trace" traces | grep -qx 'lost *0'
}
