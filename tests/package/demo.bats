#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# What `make demo` may install and fetch. SOURCE is the project.

bats_require_minimum_version 1.5.0

# scripts/demo.sh in a folder where all that it calls is replaced by what writes down that it was called.
setup() {
    local name
    cd "$BATS_TEST_TMPDIR"
    mkdir -p scripts llama/bin build/src/cli cache/tat/wheels/xllamacpp-2026.10.11549/xllamacpp
    cp "$SOURCE"/scripts/{demo,common}.sh scripts
    for name in install-deps build get-wheels get-model get-experts get-python; do
        printf '#!/bin/sh\necho "%s $*" >> calls\necho %s.gguf\n' $name $name > scripts/$name.sh
    done
    printf '#!/bin/sh\necho "get-llama $*" >> calls\necho llama\n' > scripts/get-llama.sh
    printf '#!/bin/sh\necho "tat $1" >> calls\n[ $1 != record ] || mkdir -p traces/run_$$\n' > build/src/cli/tat
    touch llama/bin/llama-completion cache/tat/wheels/xllamacpp-2026.10.11549/xllamacpp/xllamacpp.abi3.so
    chmod +x scripts/*.sh build/src/cli/tat llama/bin/llama-completion
}

# demo [VARIABLE=VALUE...]: runs it; $called is what it called.
demo() {
    env -u TAT_LLAMA -u TAT_MODEL -u TAT_DIR -u BUILD XDG_CACHE_HOME="$PWD/cache" "$@" scripts/demo.sh
    called=$(sed "s|$PWD/||g; s/ *$//" calls | grep -v '^tat' | sort -u)
}

@test "demo: the packages of Debian" {
    run -0 "$SOURCE/scripts/install-deps.sh" --list demo
    diff <(sort <<< "$output") - << 'END'
cmake
gcc
libelf-dev
libjansson-dev
libmicrohttpd-dev
libsmartcols-dev
liburing-dev
libxxhash-dev
make
ninja-build
pkg-config
python3
python3-venv
END
}

@test "demo: the packages of Python" {
    diff <(grep -v '^#' "$SOURCE/python/requirements-plot.txt") - << 'END'
--constraint requirements.txt
numpy
pandas
matplotlib
END
}

@test "demo: builds tat alone, and fetches a built llama.cpp, a model and what draws" {
    demo
    diff - <(echo "$called") << 'END'
build build
get-experts
get-model
get-python plot
get-wheels xllamacpp-2026.10.11549
install-deps demo
END
    [ "$(sed -n 's/^tat //p' calls | xargs)" = "record verify report record verify report plot plot export" ]
}

@test "demo: TAT_LLAMA and TAT_MODEL are taken in place of what would be fetched" {
    demo TAT_LLAMA=llama TAT_MODEL=mine.gguf
    diff - <(echo "$called") << 'END'
build build
get-python plot
install-deps demo
END
    [ "$(grep -c '^tat record' calls)" -eq 1 ]
}

@test "demo: compiles llama.cpp where nobody has built it for this machine" {
    rm -r cache
    echo 'exit 1' >> scripts/get-wheels.sh
    demo
    grep -x 'install-deps llama' <<< "$called"
    grep -x 'get-llama' <<< "$called"
}
