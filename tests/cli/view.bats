#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat view from a client's side, on the trace of a toy model with experts and on one of a real model. HOST is that model, with
# the agent linked in.

load toy

setup_file() {
    export TRACE=$BATS_FILE_TMPDIR/trace
    toy_trace "$TRACE" -g 40
}

setup() {
    TAT=${TAT:-tat}
    unset TAT_DIR DISPLAY WAYLAND_DISPLAY SSH_CONNECTION
    cd "$BATS_TEST_TMPDIR"
    server= host=
}

teardown() {
    [ -z "$server" ] || kill -9 "$server" 2> /dev/null || true
    [ -z "$host" ] || kill -9 "$host" 2> /dev/null || true
}

# serve ARGUMENT...: a server in the background; $address is where it is.
serve() {
    : > said
    "$TAT" view "$@" > address 2> said 3>&- &
    server=$!
    until grep -q 'until Ctrl-C' said; do # which comes after the address
        kill -0 "$server" || return 1
        sleep 0.02
    done
    address=$(< address)
}

# client WHAT [ARGUMENT]...
client() { python3 "$BATS_TEST_DIRNAME/view_client.py" "$address" "$@"; }

# json PATH EXPRESSION: Python over the answer `a`.
json() { client get "$1" | python3 -c "import json, sys; a = json.load(sys.stdin); print($2)"; }

# stop SIGNAL: sets $status.
stop() {
    kill -"$1" "$server"
    status=0
    wait "$server" || status=$?
    server=
}

@test "view: the address on standard output, and Ctrl-C ends it well" {
    serve "$TRACE"
    [[ $address =~ ^http://127\.0\.0\.1:[0-9]+/[0-9a-f]{32}/$ ]]
    grep -q 'until Ctrl-C' said
    [ "$(json api/traces 'a["schema"], [(t["id"], t["name"], t["running"]) for t in a["traces"]]')" = "1 [(0, 'trace', False)]" ]
    stop INT
    [ "$status" -eq 0 ]
    serve "$TRACE"
    stop TERM
    [ "$status" -eq 0 ]
}

@test "view: each server has a token and a port of its own" {
    serve "$TRACE"
    first=$address one=$server
    serve --listen localhost "$TRACE"
    kill "$one"
    [ "${first#*127.0.0.1:}" != "${address#*127.0.0.1:}" ]
    [ "${first%/}" != "${address%/}" ]
}

@test "view: strangers and malformed requests are refused" {
    serve "$TRACE"
    [ "$(client refused)" = refused ]
    [ "$(client oversized)" = refused ]
    [ "$(client guarded)" = guarded ]
    stop INT
    [ "$status" -eq 0 ] # nothing leaked, where a sanitizer looks
}

@test "view: HEAD is GET without the body" {
    serve "$TRACE"
    [ "$(client head)" = alike ]
}

@test "view: a thousand requests at once" {
    serve "$TRACE"
    [ "$(client parallel 1000 api/traces api/traces/0/about 'api/traces/0/sections?names=run,layers')" = "1000 answers" ]
}

@test "view: slow clients hold up nobody" {
    serve "$TRACE"
    [ "$(client slow)" = answered ]
}

@test "view: strangers hold connections for a shorter time than who knows the address" {
    serve "$TRACE"
    [ "$(client idle)" = "let go" ]
}

# same_sections PARAMETERS OPTION...: those of the page are those of the report.
same_sections() {
    client get "api/traces/0/sections?$1" > page.json
    "$TAT" report --json "${@:2}" > report.json
    python3 -c '
import json
page, report = (json.load(open(name)) for name in ("page.json", "report.json"))
assert report and page == report, [name for name in {*page, *report} if page.get(name) != report.get(name)]'
}

@test "view: the sections are those of tat report --json" {
    "$TAT" report "$TRACE" > /dev/null
    real=$BATS_TEST_DIRNAME/../format/version-1.bin
    for trace in "$TRACE" "$real"; do
        serve "$trace"
        same_sections '' "$trace"
        same_sections '' "$trace" # as it was kept
        same_sections names=caching,speed "$trace" --section caching --section speed
        same_sections 'names=caching&memory=64K&disk=1G/s&unit=page&read-ahead=8' "$trace" --section caching \
            --memory 64K --disk 1G/s --unit page --read-ahead 8
        same_sections 'names=hot,layers&hot=20&cold=30&layers=0:1&tokens=2:' "$trace" --section hot --section layers \
            --hot 20 --cold 30 --layers 0:1 --tokens 2:
        stop INT
    done
}

# picture: the sums by layer of all tokens.
picture() { client fetch 'api/traces/0/grid?x=token&y=layer&w=100&h=100'; }

@test "view: sums of a long trace are kept beside it, and what is no sums of it is made anew" {
    toy_trace "$PWD/long" -g 4200
    kept=long/analysis/view_sums.bin
    serve long
    picture > first
    [ -s first ]
    stop INT
    [ -s "$kept" ] && [ "$(stat -c %a "$kept")" = 600 ]
    inode=$(stat -c %i "$kept")
    cp "$kept" good
    serve long
    picture | cmp - first
    stop INT
    [ "$(stat -c %i "$kept")" = "$inode" ] && cmp "$kept" good

    # damaged, cut, something else altogether: as if it were not there
    for spoil in 'printf x | dd of=$kept bs=1 seek=2000 conv=notrunc status=none' 'truncate -s -1 $kept' 'truncate -s 9G $kept' \
        ': > $kept' 'rm $kept; mkfifo $kept' 'rm $kept; ln -s /dev/zero $kept' 'rm $kept'; do
        eval "$spoil"
        serve long
        picture | cmp - first
        [ "$(< said)" = "tat view: serving until Ctrl-C" ]
        stop INT
        cmp "$kept" good
    done

    # of another run
    toy_trace "$PWD/other" -g 4200
    mkdir other/analysis
    cp good other/analysis/view_sums.bin
    serve other
    stop INT
    ! cmp -s other/analysis/view_sums.bin good
}

@test "view: where sums cannot be kept, nothing is said" {
    toy_trace "$PWD/long" -g 4200
    touch long/analysis
    serve long
    picture > first
    [ -s first ] && [ "$(< said)" = "tat view: serving until Ctrl-C" ]
    stop INT
    rm long/analysis
    mkdir -p long/analysis/view_sums.bin
    serve long
    picture | cmp - first
    [ "$(< said)" = "tat view: serving until Ctrl-C" ]
    stop INT
    [ "$(ls -A long/analysis)" = view_sums.bin ]

    # a disk that is full after the first block of a file
    rm -r long/analysis address
    (ulimit -f 1 && exec "$TAT" view long > address 2> said 3>&-) & server=$!
    until [ -s address ]; do sleep 0.02; done
    address=$(< address)
    picture | cmp - first
    stop INT
    [ -z "$(ls -A long/analysis)" ]
}

@test "view: what a trace is" {
    "$TAT" report "$TRACE" > /dev/null
    serve "$TRACE"
    [ "$(json api/traces/0/about 'a["tokens"], a["evaluations"], a["running"], a["revision"], a["has"]["experts"]')" = "44 40 False 0 True" ]
    [ "$(json api/traces/0/about 'sorted({t["component"] for t in a["tensors"] if t["file_offset"] is not None} - set(a["components"]))')" = "[]" ]
    "$TAT" verify --json "$TRACE" > verify.json || true
    client get api/traces/0/about > about.json
    python3 -c '
import json
verify, about = json.load(open("verify.json")), json.load(open("about.json"))
assert about["records"] == verify["accesses"] > 0, (about["records"], verify)
assert [(c["check"], c["verdict"]) for c in about["verdict"]["checks"]] == [(c["name"], c["verdict"]) for c in verify["checks"]]'
}

@test "view: a verdict and counts are those of what is there now" {
    "$TAT" report "$TRACE" > /dev/null
    about='(a["verdict"] or {}).get("good"), a["records"]'
    counted() { "$TAT" export --format csv "$1" | tail -n +2 | wc -l; }
    cp -r "$TRACE" whole
    serve whole
    [ "$(json api/traces/0/about "$about")" = "True $(counted whole)" ]
    stop INT
    cp -r "$TRACE" cut # what stands beside it is from before
    truncate -s $(($(stat -c %s cut/tensor_access.bin) * 3 / 4)) cut/tensor_access.bin
    serve cut
    [ "$(json api/traces/0/about "$about")" = "None $(counted cut)" ]
    [ "$(counted cut)" -lt "$(counted whole)" ]
    stop INT
    toy_trace "$PWD/other" -g 20 # with what is said of another run
    cp "$TRACE/trace_metadata.json" other
    serve other
    [ "$(json api/traces/0/about "$about")" = "None $(counted other)" ]
    [ "$(json 'api/traces/0/sections?names=run' '"host" in a["run"]["values"]')" = False ]
    stop INT
    cp -r "$TRACE" waits # nobody will ever write into it
    rm waits/trace_metadata.json
    mkfifo waits/trace_metadata.json
    serve waits
    [ "$(json api/traces/0/about "$about")" = "None $(counted whole)" ]
    TAT_DIR=$PWD timeout 60 "$TAT" list > /dev/null
}

@test "view: of a trace that is written over or cut, nothing is told; one that is deleted stays" {
    toy_trace "$PWD/other" -g 60
    for spoil in 'cat other/tensor_access.bin > copy/tensor_access.bin' 'truncate -s -100 copy/tensor_access.bin'; do
        rm -rf copy
        cp -r "$TRACE" copy
        serve copy
        eval "$spoil"
        for asked in about tokens 'sections?names=layers' grid graph?token=3; do
            [[ $(client get "api/traces/0/$asked") == 500*"was changed"*"start it again"* ]]
        done
        stop INT
    done
    rm -rf copy
    cp -r "$TRACE" copy
    serve copy
    rm -r copy
    [ "$(json api/traces/0/about 'a["tokens"]')" = 44 ]
    [ "$(json 'api/traces/0/tokens' 'len(a["phase"])')" = 44 ]
}

# recorded SOURCE...: writes I/O events of a run that recorded these, without any fault or request; then whether it has them.
recorded() {
    PYTHONDONTWRITEBYTECODE=1 SOURCE=$BATS_TEST_DIRNAME/../.. python3 -c '
import os, sys
from pathlib import Path
sys.path.insert(0, str(Path(os.environ["SOURCE"], "tests", "python")))
from io_file import IoFile
names = {1: "faults", 3: "requests"}
IoFile(sources=[(n, "" if names[n] in sys.argv[2:] else "not root") for n in names]).write(Path(sys.argv[1]))' copy "$@"
    json api/traces/0/about '*(a["has"][part] for part in ("faults", "requests"))'
}

@test "view: what was recorded of storage" {
    cp -r "$TRACE" copy
    serve copy
    [ "$(json api/traces/0/about '*(a["has"][part] for part in ("faults", "requests"))')" = "False False" ]
    [ "$(recorded faults)" = "True False" ]
    [ "$(recorded requests)" = "False True" ]
    [ "$(recorded faults requests)" = "True True" ]
    [ "$(recorded)" = "False False" ]
}

@test "view: two traces" {
    cp -r "$TRACE" other
    serve "$TRACE" other
    [ "$(json api/traces '[t["name"] for t in a["traces"]]')" = "['trace', 'other']" ]
    [ "$(json api/traces/1/about 'a["name"]')" = other ]
}

@test "view: the newest trace, if none is named" {
    mkdir traces
    cp -r "$TRACE" traces/run_20260101_000000
    cp -r "$TRACE" traces/run_20260102_000000
    serve
    [ "$(json api/traces '[t["name"] for t in a["traces"]]')" = "['run_20260102_000000']" ]
}

@test "view: broken traces, and those of a newer tat" {
    mkdir cut newer none
    head -c $(($(stat -c %s "$TRACE/tensor_access.bin") * 3 / 4)) "$TRACE/tensor_access.bin" > cut/tensor_access.bin
    serve cut # what is there is shown
    [ "$(json api/traces/0/about 'a["schema"]')" = 1 ]
    same_sections '' cut
    stop INT
    head -c 100 "$TRACE/tensor_access.bin" > none/tensor_access.bin
    run "$TAT" view none
    [ "$status" -eq 3 ]
    cp "$TRACE/tensor_access.bin" newer
    python3 - newer/tensor_access.bin "$BATS_TEST_DIRNAME/../format" << 'END'
import struct, sys
sys.path.insert(0, sys.argv[2])
from read_trace import xxh64
with open(sys.argv[1], "r+b") as file:
    header = bytearray(file.read(4096))
    struct.pack_into("<I", header, 8, 99)
    struct.pack_into("<Q", header, 4088, xxh64(bytes(header[:4088])))
    file.seek(0)
    file.write(header)
END
    run "$TAT" view "$TRACE" newer
    [ "$status" -eq 3 ]
    [[ $output == *version* ]]
}

@test "view: a recording that still runs is followed to its end" {
    export TAT_DIR=$PWD/traces
    "$HOST" -g 100000000 "$BATS_FILE_TMPDIR/toy.gguf" > /dev/null 2>&1 3>&- &
    host=$!
    for _ in {1..3000}; do
        "$TAT" top --once > /dev/null 2>&1 && break
        sleep 0.02
    done
    serve traces/run_*
    [ "$(json api/traces 'a["traces"][0]["running"]')" = True ]
    evaluations=$(json api/traces/0/about 'a["evaluations"]')
    client until api/traces/0/about "a['evaluations'] > $evaluations and a['revision'] > 1 and a['running']"
    client until api/traces/0/about "a['running'] and a['records'] > 20 * a['evaluations']"
    kill -9 "$host"
    wait "$host" || true
    client until api/traces/0/about "not a['running']"
    same_sections 'names=layers,phases' --section layers --section phases traces/run_*
}

@test "view: the trace's folder stays as it is" {
    cp -r "$TRACE" copy
    "$TAT" report copy > /dev/null
    ls -Rl --time-style=full-iso copy > before
    serve copy
    client get api/traces/0/about > /dev/null
    client get api/traces/0/sections > /dev/null
    stop INT
    rm -rf copy/analysis
    sed -i '/analysis/d' before
    diff <(grep -v '^total\|^d' before) <(ls -Rl --time-style=full-iso copy | grep -v '^total\|^d')
}

# browser: a program of that name which notes the address, and opens it.
browser() {
    mkdir -p bin
    cat > bin/xdg-open << 'END'
#!/bin/sh
echo "$1" > "${0%/*}/opened.new"
mv "${0%/*}/opened.new" "${0%/*}/opened"
END
    chmod +x bin/xdg-open
    PATH=$PWD/bin:$PATH
}

@test "view: the browser gets an address that works once" {
    browser
    DISPLAY=:9 serve "$TRACE"
    grep -q 'built without its page' said && skip "tat was built without the page"
    until [ -e bin/opened ]; do sleep 0.02; done
    opened=$(< bin/opened)
    [[ $opened =~ ^http://127\.0\.0\.1:[0-9]+/[0-9a-f]{32}/$ ]]
    [ "$opened" != "$address" ]
    python3 - "$opened" "$address" << 'END'
import sys, urllib.error, urllib.request
with urllib.request.urlopen(sys.argv[1]) as answer:
    assert answer.url == sys.argv[2], answer.url
    assert b"<html" in answer.read()
try:
    urllib.request.urlopen(sys.argv[1])
    sys.exit("it worked twice")
except urllib.error.HTTPError as error:
    assert error.code == 403
END
    rm bin/opened
    stop INT
    DISPLAY=:9 serve --no-open "$TRACE"
    sleep 0.2
    [ ! -e bin/opened ]
}

@test "view: over SSH, the command that makes the address work there" {
    browser
    DISPLAY=:9 SSH_CONNECTION="198.51.100.7 50000 192.0.2.5 2222" serve --port 0 "$TRACE"
    port=${address#*127.0.0.1:}
    port=${port%%/*}
    until grep -q 'open the address\|built without its page' said; do sleep 0.02; done
    if ! grep -q 'built without its page' said; then
        grep -qx "    ssh -N -L $port:127.0.0.1:$port -p 2222 $(id -un)@192.0.2.5" said
        [ ! -e bin/opened ]
    fi
    # Through another port at the other end it is the same server.
    [ "$(python3 - "$address" << 'END'
import sys, urllib.request
request = urllib.request.Request(sys.argv[1] + "api/traces", headers={"Host": "localhost:1234", "Origin": "http://localhost:1234"})
print(urllib.request.urlopen(request).status)
END
)" = 200 ]
}

# page FILE ARGUMENT...: the page on $TRACE as one file; and what is embedded in it, as FILE.json.
page() {
    "$TAT" export --format html -o "$1" "${@:2}" "$TRACE" 2> said || {
        grep -q 'built without the page' said && skip "tat was built without the page"
        cat said
        return 1
    }
    python3 - "$1" << 'END'
import json, re, sys
text = open(sys.argv[1], encoding="utf-8").read()
answers = json.loads(re.search(r"window\.__TAT__=(.*)</script>", text)[1])
page = re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.DOTALL)
assert not re.search(r"<script|<style|src=|url\(", page), page  # all that it needs is in it
assert re.findall(r'href="([^"]*)"', page) in (["data:,"], []), page
assert "default-src 'none'" in page
json.dump(answers, open(sys.argv[1] + ".json", "w"))
END
}

@test "export: the page as one file has the server's answers, but no text and no paths" {
    "$TAT" report "$TRACE" > /dev/null
    page run.html
    [ "$(stat -c %s run.html)" -lt $((20 << 20)) ]
    ! grep -q "$BATS_FILE_TMPDIR" run.html
    serve "$TRACE"
    for path in api/traces api/traces/0/about 'api/traces/0/sections?names=layers' 'api/traces/0/sections?names=run'; do
        client get "$path" > served.json
        python3 - "$path" "$BATS_FILE_TMPDIR" << 'END'
import json, re, sys
path, folder = sys.argv[1:]
served, embedded = json.load(open("served.json")), json.load(open("run.html.json"))[path]
def shown(value):
    """Of paths, the last part alone."""
    if isinstance(value, dict):
        return {key: False if key == "text" and value[key] is True else shown(value[key]) for key in value}
    if isinstance(value, list):
        return [shown(one) for one in value]
    return re.sub(r"/[^ ,]*/", "", value) if isinstance(value, str) and value.startswith("/") or isinstance(value, str) and folder in value else value
assert shown(served) == shown(embedded) and folder not in json.dumps(embedded), (served, embedded)
END
    done
    page text.html --with-text
    grep -q "$BATS_FILE_TMPDIR" text.html
}

@test "export: a page is no larger than it may be, and says what is left out" {
    page whole.html
    size=$(stat -c %s whole.html)
    page small.html --max-html $((size - 100000))
    [ "$(stat -c %s small.html)" -le $((size - 100000)) ]
    [ "$(python3 -c 'import json; print(len(json.load(open("small.html.json"))["api/export"]["notes"]) > 1)')" = True ]
    # Every < takes six bytes, and the name is in every note.
    name=$(printf '<%.0s' {1..120})
    cp -r "$TRACE" "$name"
    cp -r "$TRACE" "$name>"
    most=$size
    while "$TAT" export --format html -o named.html --max-html "$most" "$PWD/$name" "$PWD/$name>" 2> /dev/null; do
        [ "$(stat -c %s named.html)" -le "$most" ]
        most=$((most - 30000))
    done
    [ "$most" -lt "$size" ] # in the end, nothing fits
    run "$TAT" export --format html -o tiny.html --max-html 20K "$TRACE"
    [ "$status" -eq 1 ]
    [[ $output == *"--max-html"* ]]
    [ ! -e tiny.html ]
}

@test "export: of several traces, what a page lacks is said by name" {
    cp -r "$TRACE" first
    cp -r "$TRACE" second
    run "$TAT" export --format html -o both.html first second
    echo "$output"
    [[ $output == *"tat export: first: The file map "*"tat export: second: The file map "* ]]
    [[ $output == *"tat export: The text of tokens and "* ]]
}

@test "export: a page takes whole traces" {
    for arguments in "--layers 1" "-n 5" "--references" "--expert-counts" "--max-size 1G"; do
        # shellcheck disable=SC2086
        run "$TAT" export --format html -o x.html $arguments "$TRACE"
        [ "$status" -eq 2 ]
    done
    run "$TAT" export --format csv --with-text "$TRACE"
    [ "$status" -eq 2 ]
}

@test "view: used wrongly" {
    for arguments in "--port x" "--port 65536" "--port -1"; do
        # shellcheck disable=SC2086
        run "$TAT" view $arguments "$TRACE"
        [ "$status" -eq 2 ]
    done
    run "$TAT" view --listen no.such.host.invalid "$TRACE"
    [ "$status" -eq 2 ]
    run "$TAT" view absent
    [ "$status" -eq 3 ]
    serve "$TRACE"
    port=${address#*127.0.0.1:}
    run "$TAT" view --port "${port%%/*}" "$TRACE"
    [ "$status" -eq 4 ]
    [[ $output == *"is in use"*"--port"* ]]
    run bash -c '"$0" view "$1" > /dev/full' "$TAT" "$TRACE"
    [ "$status" -eq 4 ]
}

@test "view: a plan is what tat plan prints" {
    serve "$TRACE"
    "$TAT" plan --json --memory 64M --disk 1G/s -o plan.json "$TRACE" > expected 2> why || [ $? -eq 1 ] || {
        status=0
        client get 'api/traces/0/plan?memory=67108864&disk=1073741824' > told || status=$?
        [ "$status" -ne 0 ]
        return
    }
    client get 'api/traces/0/plan?memory=67108864&disk=1073741824' > told
    python3 -c 'import json; a, b = (json.load(open(name)) for name in ("told", "expected")); assert a == b, (a, b)'
    run client get api/traces/0/plan
    [[ $output == *"'memory' is missing"* ]]
}
