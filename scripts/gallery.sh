#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# gallery.sh: makes the pictures of doc/gallery.md and the outputs of notebooks/analysis.ipynb anew, from runs of 100 tokens of
# the models of scripts/get-model.sh and scripts/get-experts.sh. BUILD names the build folder.
. "$(dirname "$0")/common.sh"

build=${BUILD:-$root/build}
tat=$build/src/cli/tat
wheel=xllamacpp-2026.10.11549
of_dense="heatmap_token_layer layers operation_types attention_heads qkv_order kv_growth gap_histogram prediction_scores"
of_experts="timeline_offset heatmap_token_tensor hot_tensors moe_expert_heatmap layer_expert transitions reuse_distance
    miss_ratio_curves"
of_storage="page_faults stall_per_token residency read_again disk_throughput"

# record NAME MODEL TOKENS [OPTION...]
record() {
    say "recording $1"
    quietly "$tat" record "${@:4}" -o "$scratch/$1" -- python3 "$root/tests/record/ctypes_host.py" \
        "$wheels/$wheel/xllamacpp/xllamacpp.abi3.so" "$2" "The three laws of robotics are" "$3" --threads "$(nproc)"
    quietly "$tat" verify "$scratch/$1"
}

"$root/scripts/build.sh" "$build"
wheels=$("$root/scripts/get-wheels.sh" $wheel)
dense=$("$root/scripts/get-model.sh")
experts=$("$root/scripts/get-experts.sh")
python=$("$root/scripts/get-python.sh" test)
scratch_folder
record dense "$dense" 100
record experts "$experts" 100
if [ "$(id -u)" -eq 0 ]; then
    record pressed "$experts" 16 --io --memory 260M
    quietly "$tat" doctor --disk "$experts"
else
    echo "not root: pictures of the disk and of what is in memory stay as they are"
fi
say "drawing"
# shellcheck disable=SC2086 # lists
quietly "$tat" plot "$scratch/dense" --format png -o "$scratch/pictures" --only $of_dense
# shellcheck disable=SC2086
quietly "$tat" plot "$scratch/experts" --format png -o "$scratch/pictures" --only $of_experts
if [ -e "$scratch/pressed" ]; then
    # shellcheck disable=SC2086
    quietly "$tat" plot "$scratch/pressed" --format png -o "$scratch/pictures" --only $of_storage
    export TAT_PRESSED=$scratch/pressed
fi
export PYTHONPATH=$root/python BUILD=$build
quietly "$python" "$root/scripts/shrink_pictures.py" "$root/doc/gallery" "$scratch"/pictures/*.png
say "running the notebook"
TAT_TRACE=$scratch/experts IPYTHONDIR=$scratch quietly "$python" "$root/scripts/run_notebook.py" "$root/notebooks/analysis.ipynb"
du -ch "$root"/doc/gallery/*.png "$root/notebooks/analysis.ipynb" | tail -1
