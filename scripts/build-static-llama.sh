#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# build-static-llama.sh [BUILD]: links llama-simple statically with the agent of our build folder, for the tests. Prints the
# path of the program. Compiles llama.cpp once, and links again when the agent has changed.
. "$(dirname "$0")/common.sh"

build=$(realpath "${1:-$root/build}")
package=$build/src/agent/TensorAccessTrackerConfig.cmake
[ -e "$package" ] || die "$build is not a build folder of this project; scripts/build.sh makes one"
llama=$(dirname "$(dirname "$("$root/scripts/get-llama.sh")")")
folder=$llama/build-static

export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache}
one_at_a_time llama-static
quietly cmake -S "$llama" -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
    -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_UI=OFF \
    -DCMAKE_PROJECT_INCLUDE="$package" -DTENSOR_TRACE=ON
rm -f "$folder/bin/llama-simple" # CMake does not know that it depends on the agent
say "building a static llama-simple"
quietly nice -n 10 ninja -C "$folder" llama-simple
echo "$folder/bin/llama-simple"
