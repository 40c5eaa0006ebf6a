#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# build-blas-ggml.sh: builds the ggml of our llama.cpp with a BLAS backend, for the tests. The programs of
# scripts/get-llama.sh load it through LD_LIBRARY_PATH and need no rebuild. Prints the folder of the libraries.
. "$(dirname "$0")/common.sh"

llama=$(dirname "$(dirname "$("$root/scripts/get-llama.sh")")")
folder=$llama/build-blas

export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache}
one_at_a_time llama-blas
if [ ! -e "$folder/.built" ]; then
    say "building ggml with BLAS"
    quietly cmake -S "$llama" -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_BLAS=ON -DGGML_BLAS_VENDOR=OpenBLAS \
        -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_UI=OFF
    quietly nice -n 10 ninja -C "$folder" ggml
    touch "$folder/.built"
fi
echo "$folder/bin"
