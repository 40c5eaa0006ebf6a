#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# A real llama.cpp with too little memory. The model is a copy: nobody else has it mapped, and nobody misses it in memory.

load common

setup() {
    [ "$(id -u)" = 0 ] || skip "memory cgroups need root"
    model random-lfm2.gguf
    case $(stat -f -c %T "$BATS_TEST_TMPDIR") in tmpfs | ramfs) skip "tmpfs is memory" ;; esac
    cp "$model" "$BATS_TEST_TMPDIR/model.gguf"
    model=$BATS_TEST_TMPDIR/model.gguf
    cd "$BATS_TEST_TMPDIR"
    "$TAT" record --memory 20M -- true 2> refused || true
    ! grep -q "cgroup" refused || skip "no memory cgroups: $(cat refused)"
}

@test "pressure: with too little memory the text is the same, and the trace says how little it was" {
    completion . -n 2 -c 512 > untraced 2> /dev/null
    completion "$TAT" record --memory 45M -o run . -n 2 -c 512 > traced 2> talk
    ends_early untraced traced || cmp untraced traced
    grep -q "of 45.0 MiB, the KV cache takes .* (context 512) and the program about .*. That leaves about" talk
    "$TAT" verify run > /dev/null
    python3 - <<'PY'
import json
p = json.load(open("run/trace_metadata.json"))["pressure"]
assert p["memory_limit"] == 45 << 20 and p["cgroup"] in (1, 2) and p["oom_kills"] == 0, p
assert 0 < p["peak_bytes"] <= p["memory_limit"], p
assert [f["stayed"] for f in p["cold_files"]] == [0], p
PY
    run --separate-stderr "$TAT" report --section run run
    [[ $output == *"limited to 45.0 MiB, of which at most"*"1 file evicted from the page cache beforehand"* ]]
    run --separate-stderr "$TAT" report --section caching --json run
    [[ $output == *'"memory_bytes": 47185920'* ]]
}

@test "pressure: a KV cache that does not fit is told beforehand, and afterwards that it was why" {
    run -137 completion "$TAT" record --memory 45M . -n 3 -c 65536
    [[ $output == *"warning: of 45.0 MiB"*"(context 65536)"*"does not fit"*"-c 512"* ]]
    [[ $output == *"the kernel killed the program"* ]]
}

@test "pressure: weights that llama.cpp repacks are told, as they stay in memory" {
    [ -e "$MODELS/random-gpt-oss.gguf" ] || skip "no random-gpt-oss.gguf: scripts/get-fixtures.sh makes it"
    cp "$MODELS/random-gpt-oss.gguf" model.gguf # 19.1 MiB of MXFP4
    run "$TAT" record --memory 40M -- true llama-completion -m model.gguf -c 512
    [[ $output == *"warning: llama.cpp may repack up to 19.1 MiB"*"would not fit: --no-repack"* ]]
    run "$TAT" record --memory 40M -- true llama-completion -m model.gguf -c 512 --no-repack
    [[ $output != *"repack"* ]]
}

@test "pressure: the benchmark with two models, and a way that fails" {
    # It ends as if all were well, and generates nothing that one could measure.
    mkdir llama
    printf '#!/usr/bin/env bash\n[ "$MAPPING" = random ] || exec %q "$@"\necho "no token today" >&2\n' \
        "$LLAMA/llama-completion" > llama/llama-completion
    chmod +x llama/llama-completion
    cp "$model" other.gguf
    run --separate-stderr python3 "$BATS_TEST_DIRNAME/../../bench/pressure.py" --rounds 1 --shares 100 --ways mmap,random \
        --tokens 2 "$TAT" llama "$model" other.gguf
    echo "$output" "$stderr"
    [ "$status" -eq 0 ]
    figure='[0-9][0-9,.]*'
    [ "$(grep -cE "^\| (model|other).gguf \| 100 % \([0-9]+ MiB\) \| mmap \| $figure \| $figure \| $figure \|" <<< "$output")" -eq 2 ]
    [ "$(grep -cE '^\| (model|other).gguf \| .* \| random \| failed in 1 of 1 \| - \|' <<< "$output")" -eq 2 ]
    [[ $stderr == *"model.gguf, 100 %, random failed: it printed no eval time. Its last lines:"*"no token today"* ]]
}
