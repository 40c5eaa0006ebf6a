#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The examples, and what `make install` installs for who writes programs. HOST makes a trace; BUILD is installed; EXAMPLE and
# LIBRARY are from the build tree.

bats_require_minimum_version 1.5.0

setup_file() {
    export TRACE=$BATS_FILE_TMPDIR/trace MADE=$BATS_FILE_TMPDIR/made TREE=$BATS_FILE_TMPDIR/tree
    "$HOST" --write "$BATS_FILE_TMPDIR/toy.gguf"
    mkdir "$MADE"
    TAT_DIR=$MADE "$HOST" -g 40 "$BATS_FILE_TMPDIR/toy.gguf" > "$BATS_FILE_TMPDIR/host.out"
    mv "$MADE"/run_* "$TRACE"
    DESTDIR= "$CMAKE" --install "$BUILD" --prefix "$BATS_FILE_TMPDIR/installed" > "$BATS_FILE_TMPDIR/install.out"
    mv "$BATS_FILE_TMPDIR/installed" "$TREE" # it can be moved
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    export PKG_CONFIG_PATH=$TREE/lib/pkgconfig
}

@test "library: the example says what an export adds up to" {
    "$EXAMPLE" "$TRACE" > example
    "$TAT" export --phases generate --kinds weights "$TRACE" > weights.csv
    python3 - << 'END'
import csv
tokens, layers = {}, {}
for row in csv.DictReader(open("weights.csv", newline="")):
    tokens[row["graph"]] = int(row["tokens"])
    layer = row["layer"] or "none"
    layers[layer] = layers.get(layer, 0) + int(row["size"])
with open("example") as file:
    assert next(file) == f"layer\tbytes per token of {sum(tokens.values())} generated\n"
    found = dict(line.rstrip("\n").split("\t") for line in file)
assert found == {k: str(v // sum(tokens.values())) for k, v in layers.items()}, (found, layers)
assert len(found) == 4
END
    run "$EXAMPLE"
    [ "$status" -eq 2 ]
    run "$EXAMPLE" /nonexistent
    [ "$status" -eq 3 ]
}

@test "library: compiled outside, against what is installed" {
    cp "$SOURCE/doc/examples/weights_by_layer.c" .
    "$CC" -std=c11 -Wall -Wextra -Werror -Wno-unused-function weights_by_layer.c $(pkg-config --cflags --libs tat) -o outside
    ./outside "$TRACE" | diff - <("$EXAMPLE" "$TRACE")
    run ! grep -q jansson <(ldd outside) # who only reads needs none
}

@test "library: every public header compiles alone, and its functions link" {
    for header in "$TREE"/include/tat/*.h; do
        echo "#include <tat/$(basename "$header")>" > alone.c
        "$CC" -std=c11 -Wall -Wextra -Werror $(pkg-config --cflags tat) -c alone.c
        "$CC" -x c++ -std=c++17 -Wall -Wextra -Werror $(pkg-config --cflags tat) -c alone.c
    done
    cat > asks.c << 'END'
#include <stdio.h>
#include <stdlib.h>
#include <tat/analysis.h>
#include <tat/gguf.h>
#include <tat/verify.h>

int main(int argc, char ** argv) {
    struct tat_error        error;
    struct tat_verification v;
    struct tat_trace *      trace = argc > 1 ? tat_trace_open(argv[1], &error) : NULL;
    if (!trace || tat_verify(trace, &v, &error) != 0) { return 1; }
    char * answers = tat_analyze(trace, NULL, 0, NULL, &error);
    printf("%u %d %s\n", v.n_failed, answers != NULL, tat_component_name(TAT_COMPONENT_ATTN_Q));
    free(answers);
    tat_trace_close(trace);
    return 0;
}
END
    "$CC" -std=c11 asks.c $(pkg-config --static --cflags --libs tat) -o asks
    [ "$(./asks "$TRACE")" = "0 1 attn_q" ]
}

@test "library: none of our own names can meet one of the program's" {
    nm -g --defined-only "$LIBRARY" | awk 'NF == 3 { print $3 }' > names
    grep -qx tat_trace_open names
    run ! grep -v "^tat_" names
}

@test "library: the installed tat and its agent work from where they were moved" {
    "$TREE/bin/tat" verify "$TRACE" | grep -q "^records *good"
    [ -e "$TREE/lib/tat/libtat_agent.so" ]
    "$TREE/bin/tat" doctor | grep -q "$TREE/lib/tat/libtat_manage.so"
    [ -e "$TREE/share/man/man1/tat-dump.1" ]
    [ -e "$TREE/share/man/man1/tat-export.1" ]
    "$TREE/bin/tat" record -o "$BATS_TEST_TMPDIR/run" -- true 2>&1 | grep -q "computed no graph"
}
