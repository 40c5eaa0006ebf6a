#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# get-fixtures.sh: makes the models that tests run, with tests/fixtures, in $XDG_CACHE_HOME/tat/models. Prints that folder.
# Makes a model again only when what made it has changed: its generator, its arguments, or the model it was made for.
. "$(dirname "$0")/common.sh"

fixtures=$root/tests/fixtures
models=$cache/models
python=$cache/python/bin/python3

# made_by GENERATOR: its code and what all of them share.
made_by() { cat "$fixtures/$1" "$fixtures/copying.py" "$fixtures/requirements.txt" | sha256sum; }

get_python() {
    cmp -s "$fixtures/requirements.txt" "$cache/python/requirements.txt" && return
    say "installing the packages that make models: $(tr '\n' ' ' < "$fixtures/requirements.txt")"
    rm -rf "$cache/python"
    quietly python3 -m venv "$cache/python"
    quietly "$python" -m pip install --quiet --disable-pip-version-check --requirement "$fixtures/requirements.txt"
    cp "$fixtures/requirements.txt" "$cache/python"
}

# make_model NAME FILE GENERATOR ARGUMENT...: the model NAME, of which FILE is there last. The generator puts a file in its place
# when it is whole, so that a test that runs meanwhile sees the old one or the new one.
make_model() {
    local name=$1 file=$models/$2 stamp=$models/.$1.made made
    made="$(made_by "$3") $* ${made_for:+$(cat "$models/.$made_for.made")}"
    [ -e "$file" ] && [ "$(cat "$stamp" 2> /dev/null)" = "$made" ] && return
    get_python
    say "making $name"
    quietly "$python" "$fixtures/$3" "${@:4}" || die "$name could not be made"
    echo "$made" > "$stamp"
}

random() {
    make_model "random-$1" "random-$1.gguf" make_random.py "$1" "$models/random-$1.gguf" --tokenizer "$dense" "${@:2}"
}

keeps_holes() {
    scratch_folder
    truncate -s 1M "$scratch/hole"
    [ "$(stat -c %b "$scratch/hole")" -eq 0 ]
}

dense=$("$root/scripts/get-model.sh")
one_at_a_time fixtures
make_model SmolLM2-8x2 SmolLM2-8x2.gguf make_moe.py "$dense" "$models/SmolLM2-8x2.gguf" --experts 8 --used 2
for kind in llama gpt-oss qwen2moe deepseek2 mamba rwkv7 jamba lfm2 t5; do random "$kind"; done
make_model random-llama-split random-llama-split-00003-of-00003.gguf \
    make_random.py llama "$models/random-llama-split.gguf" --tokenizer "$dense" --split 15
make_model random-whisper random-whisper.bin make_whisper.py "$models/random-whisper.bin"
made_for=random-llama
for kind in lora control projector; do
    make_model "random-llama-$kind" "random-llama-$kind.gguf" \
        make_adapter.py $kind "$models/random-llama.gguf" "$models/random-llama-$kind.gguf"
done
make_model random-llama-lora-2 random-llama-lora-2.gguf \
    make_adapter.py lora "$models/random-llama.gguf" "$models/random-llama-lora-2.gguf" --seed 1
made_for=
if keeps_holes; then random sparse; else say "skipping random-sparse.gguf: this file system has no sparse files"; fi
echo "$models"
