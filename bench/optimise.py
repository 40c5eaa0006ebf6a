#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What managing memory gains where a model does not fit: models x memory x strategies, each several times, in random order,
beside what llama.cpp does of itself. Prints a table; with --out it writes OPTIMISE.md, optimise.csv and optimise.svg into
a folder.

    optimise.py [--rounds N] [--shares 100,75,50,35,25] [--peer-shares 50] [--ways mmap,pin,...] [--tokens N] [--out DIR]
                LIBRARY LLAMA MODEL...

LIBRARY is libtat_manage.so, LLAMA the folder of llama-completion. A limit is a share of the model's bytes plus what a run
with enough memory needs besides: so 100 % holds all of the model. Needs cgroups that the user may make, so mostly root.
Ends with status 1 if a text differs from that of a run with enough memory.
"""

import argparse
import hashlib
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cells import MIB, Row, compiled, conditions, digits, disk_rate_at_once, numbers, spread, write_csv

# name: (explanation, MAPPING of bench/mapping.c, strategy, reader)
WAYS: dict[str, tuple[str, str, str, str]] = {
    "mmap": ("as llama.cpp does it: mapped, populated", "", "", ""),
    "faults": ("mapped, read when touched, with read-ahead", "faults", "", ""),
    "random": ("mapped, `MADV_RANDOM`: read when touched, page by page", "random", "", ""),
    "pin": ("managed: what fits stays", "", "pin", "any"),
    "pin+stream": ("managed: what does not fit is read in order, ahead of its use", "", "pin+stream", "any"),
    "all": ("managed: and experts are kept by a policy, and read when the router has chosen", "", "pin+stream+cache", "any"),
    "all-uring": ("the same, read by io_uring", "", "pin+stream+cache", "uring"),
    "all-threads": ("the same, read by threads", "", "pin+stream+cache", "threads"),
}
PEERS = ["faults", "random"]
DEFAULT = ["mmap", *PEERS, "pin", "pin+stream", "all"]
PLENTY = "plenty"  # of memory: the text is compared with this run's, and the computing bound is its rate
LAST_LINES = 12  # of what a run printed that failed
BLOCKS = {True: 512 << 10, False: MIB}  # of reads by which the disk is measured: with experts about a slice of one
COLUMNS: list[tuple[str, str, float]] = [
    ("tokens/s", "tokens_per_s", 1), ("first token, s", "first_token_s", 1), ("read a token, MiB", "bytes_per_token", MIB),
    ("experts held, %", "held_share", 0.01), ("waits, %", "wait_share", 0.01), ("of the bound, %", "bound_share", 0.01),
    ("predicted/delivered", "predicted_ratio", 1), ("to mmap", "to_mmap", 1)]


class Group:
    """A memory cgroup, of version 1 or 2, without swap."""

    def __init__(self) -> None:
        v1 = Path("/sys/fs/cgroup/memory")
        self.is_v1 = (v1 / "memory.limit_in_bytes").exists()
        self.folder = (v1 if self.is_v1 else Path("/sys/fs/cgroup")) / f"tat-optimise-{os.getpid()}"

    def __enter__(self) -> "Group":
        self.folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        for _attempt in range(50):  # whoever ended may not be gone yet
            try:
                self.folder.rmdir()
                return
            except OSError:
                time.sleep(0.1)

    def limit(self, limit: int) -> None:
        names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"] if self.is_v1 else ["memory.max", "memory.swap.max"]
        for name in names:
            if (self.folder / name).exists():
                (self.folder / name).write_text("0" if name == "memory.swap.max" else str(limit))

    def enter(self) -> None:
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def number(self, v1: str, v2: str) -> int:
        return int((self.folder / (v1 if self.is_v1 else v2)).read_text())

    def peak(self) -> int:
        return self.number("memory.max_usage_in_bytes", "memory.peak")

    def kills(self) -> int:
        name = "memory.oom_control" if self.is_v1 else "memory.events"
        found = re.search(r"^oom_kill (\d+)", (self.folder / name).read_text(), re.M)
        return int(found[1]) if found else 0


def has_experts(model: Path) -> bool:
    with model.open("rb") as file:
        return b".expert_used_count" in file.read(MIB)


def forget(model: Path) -> None:
    """The page cache keeps nothing of it."""
    fd = os.open(model, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def bytes_read(pid: int) -> int:
    try:
        return int(re.search(r"^read_bytes: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.M)[1])  # type: ignore[index]
    except (OSError, TypeError):
        return 0


class Fifo:
    """Where the library reports to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def lines(self) -> dict[str, str]:
        """What was said since the last time, by its first word."""
        try:
            text = os.read(self.fd, 1 << 20).decode()
        except BlockingIOError:
            return {}
        parts = (line.split(" ", 2) for line in text.splitlines())
        return {part[1]: part[2] if len(part) > 2 else "" for part in parts}


def values_of(line: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in line.split() if "=" in part)


class Bench:
    def __init__(self, library: Path, llama: Path, tokens: int, context: int, folder: Path) -> None:
        self.library, self.llama, self.tokens, self.context = library, llama, tokens, context
        self.folder = folder
        self.mapping = compiled(folder)
        self.fifo = Fifo(folder / "report")
        self.texts: dict[Path, bytes] = {}
        self.is_wrong = False

    def environment(self, way: str, rate: float) -> dict[str, str]:
        _, mapping, strategy, reader = WAYS[way]
        if mapping:
            return dict(os.environ) | {"MAPPING": mapping, "LD_PRELOAD": str(self.mapping)}
        if strategy:
            told = f"memory=0;strategy={strategy};reader={reader};disk={rate:.0f};report={self.fifo.path}"
            return dict(os.environ) | {"TAT_MANAGE": told, "TAT_RECORD": "0", "LD_PRELOAD": str(self.library)}
        return dict(os.environ)

    def run(self, model: Path, way: str, limit: int, rate: float) -> tuple[Row, bytes, str]:
        """Figures, the text, and what was said."""
        command: list[str | Path] = [
            self.llama / "llama-completion", "-m", model, "-p", "The three laws of robotics are", "-n", str(self.tokens),
            "-c", str(self.context), "-t", str(os.cpu_count()), "--temp", "0", "-no-cnv", "--ignore-eos",
            "--no-display-prompt"]
        forget(model)
        self.fifo.lines()
        with (self.folder / "talk").open("w+") as talk, Group() as group:
            group.limit(limit)
            begin = time.monotonic()
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=talk, bufsize=0,
                                  env=self.environment(way, rate), preexec_fn=group.enter) as child:
                assert child.stdout
                text = child.stdout.read(1) or b""
                first, before = time.monotonic() - begin, bytes_read(child.pid)
                while more := child.stdout.read(1 << 16):
                    text += more
                _, status, usage = os.wait4(child.pid, 0)
                child.returncode = os.waitstatus_to_exitcode(status)
            talk.seek(0)
            row: Row = {"killed": int(group.kills() > 0), "failed": 0, "peak_bytes": group.peak(),
                        "read_bytes": usage.ru_inblock * 512}
            said = talk.read()
        rates = re.findall(r" eval time = .*?runs.*?([\d.]+) tokens per second", said)  # llama.cpp's own
        if child.returncode == 0 and rates:
            row |= {"tokens_per_s": float(rates[-1]), "first_token_s": first,
                    "bytes_per_token": max(0, usage.ru_inblock * 512 - before) / max(1, self.tokens - 1)}
        elif not row["killed"]:
            row["failed"] = 1
        return row, text, said

    def reference(self, model: Path, rate: float) -> Row:
        """A run with more than enough memory."""
        row, text, said = self.run(model, "mmap", 4 * model.stat().st_size + 512 * MIB, rate)
        if row["killed"] or row["failed"]:
            sys.exit(f"optimise: {said[-2000:]}")
        self.texts.setdefault(model, text)
        return row

    def one(self, model: Path, way: str, share: int, limit: int, rate: float) -> Row:
        row: Row = {"model": model.name, "limit_percent": share, "limit_bytes": limit, "way": way}
        for attempt in range(2):  # on a busy machine llama-completion may end before it has printed all
            figures, text, said = self.run(model, way, limit, rate)
            if text == self.texts[model] or not self.texts[model].startswith(text) or attempt:
                break
        row |= figures | managed_figures(self.fifo.lines())
        if row["failed"]:
            last = "\n".join(f"    {line}" for line in said.splitlines()[-LAST_LINES:])
            print(f"optimise: {model.name}, {share} %, {way} failed. Its last lines:\n{last}", file=sys.stderr)
        elif not row["killed"]:
            row["text"] = hashlib.md5(text).hexdigest()
            row["text_differs"] = int(text != self.texts[model])
            if row["text_differs"]:
                self.is_wrong = True
                print(f"optimise: ERROR: WRONG TEXT: {model.name}, {share} %, {way}:\n    {text!r}\nin place of\n"
                      f"    {self.texts[model]!r}", file=sys.stderr)
        return row


def managed_figures(lines: dict[str, str]) -> Row:
    begin, end = values_of(lines.get("begin", "")), values_of(lines.get("end", ""))
    told = [lines["note"]] if "note" in lines else []
    told += [f"{kind} {lines[kind]}" for kind in ("fits", "short", "refused", "less", "handed_back") if kind in lines]
    row: Row = {"note": "; ".join(told)} if told else {}
    row |= {name: begin[name] for name in ("reader", "direct") if name in begin}
    row |= {f"{name}_bytes": int(begin[name])
            for name in ("pinned", "streamed", "ring", "cached", "cache", "left", "pool") if name in begin}
    if not end:
        return row
    n = {name: int(value) for name, value in end.items()}
    row |= {name: n.get(name, 0) for name in ("errors", "given_up", "handed_back")}
    row["wait_share"] = n["wait_ns"] / n["ns"] if n["ns"] else None
    row["held_share"] = n["held"] / n["wanted"] if n["wanted"] else None
    row["predicted_tokens_per_s"] = n["predicted"] / 1000 if n.get("predicted") else None
    return row


def bytes_missed(row: Row) -> float | None:
    """A token's, that must be read: of what every token needs, that which does not fit; and of experts those that the
    policy did not keep, which are known as what was read."""
    if "pool_bytes" not in row or row.get("bytes_per_token") is None:
        return None
    part = {name: float(str(row[f"{name}_bytes"])) for name in ("pinned", "streamed", "cached", "left", "pool")}
    if part["cached"]:
        return float(str(row["bytes_per_token"]))
    return max(0.0, part["pinned"] + part["streamed"] + part["left"] - part["pool"])


def add_bounds(row: Row, plenty: Row, rate: float) -> None:
    row["disk_bytes_per_s"] = rate
    row["plenty_tokens_per_s"] = plenty["tokens_per_s"]
    missed = bytes_missed(row)
    if missed is None:
        return
    row["missed_bytes"] = missed
    row["bound_tokens_per_s"] = 1 / max(missed / rate, 1 / float(str(plenty["tokens_per_s"])))
    row["bound_share"] = float(str(row["tokens_per_s"])) / float(str(row["bound_tokens_per_s"]))
    if row.get("predicted_tokens_per_s"):
        row["predicted_ratio"] = float(str(row["predicted_tokens_per_s"])) / float(str(row["tokens_per_s"]))


def add_speed_ups(rows: list[Row]) -> None:
    """Against mmap in the same round."""
    plain = {(r["model"], r["limit_percent"]): r.get("tokens_per_s") for r in rows if r["way"] == "mmap"}
    for row in rows:
        base = plain.get((row["model"], row["limit_percent"]))
        if base and row.get("tokens_per_s"):
            row["to_mmap"] = float(str(row["tokens_per_s"])) / float(str(base))


def measure(bench: Bench, models: list[Path], cells: list[tuple[Path, int, str]], rounds: int) -> list[Row]:
    needs: dict[Path, int] = {}
    rng = random.Random(0)
    rows: list[Row] = []
    for number in range(rounds):
        rates = {model: disk_rate_at_once(model, BLOCKS[has_experts(model)]) for model in models}
        plenty = {model: bench.reference(model, rates[model]) for model in models}
        for model in models:
            needs.setdefault(model, max(0, int(str(plenty[model]["peak_bytes"])) - model.stat().st_size))
        mine: list[Row] = []
        for model, share, way in rng.sample(cells, len(cells)):
            limit = model.stat().st_size * share // 100 + needs[model]
            row = {"round": number} | bench.one(model, way, share, limit, rates[model])
            add_bounds(row, plenty[model], rates[model])
            mine.append(row)
            ended = next((word for word in ("killed", "failed") if row[word]), None) or f"{row['tokens_per_s']} tokens/s"
            print(f"round {number + 1}: {model.name} {share} % {way}: {ended}{'; ' if 'note' in row else ''}"
                  f"{row.get('note', '')}", file=sys.stderr)
        add_speed_ups(mine)
        rows += mine
    return rows


# ---- what came of it ----


def outcome(rows: list[Row]) -> str:
    """What a reader must know of a cell beside its figures."""
    counts = {"killed": "killed", "failed": "failed", "text_differs": "**WRONG TEXT**", "handed_back": "handed back"}
    found = [f"{words} in {n} of {len(rows)}" for name, words in counts.items() if (n := sum(bool(r.get(name)) for r in rows))]
    return "; ".join(found + sorted({str(r["note"]) for r in rows if r.get("note")}))


def table(rows: list[Row]) -> list[str]:
    lines = ["| memory | way | " + " | ".join(title for title, _, _ in COLUMNS) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    keys = {(-int(str(r["limit_percent"])), list(WAYS).index(str(r["way"]))) for r in rows}
    for share, way in sorted(keys):
        mine = [r for r in rows if (r["limit_percent"], r["way"]) == (-share, list(WAYS)[way])]
        limit = f"{-share} % ({int(str(mine[0]['limit_bytes'])) / MIB:.0f} MiB)"
        figures = [spread(mine, name, divide) for _, name, divide in COLUMNS]
        words = outcome(mine)
        figures[0] += f" ({words})" if words else ""
        lines.append("| " + " | ".join([limit, list(WAYS)[way], *figures]) + " |")
    return lines


def of_model(rows: list[Row], model: str) -> list[str]:
    mine = [r for r in rows if r["model"] == model]
    plenty = {r["round"]: r["plenty_tokens_per_s"] for r in mine}.values()
    rates = sorted({float(str(r["disk_bytes_per_s"])) / MIB for r in mine})
    return [f"## {model}", "",
            f"With enough memory: {digits(statistics.median(float(str(v)) for v in plenty))} tokens/s. The disk read "
            f"{digits(rates[0])} to {digits(rates[-1])} MiB/s, 8 reads at once, past the page cache.", "", *table(mine), ""]


def report(rows: list[Row], rounds: int) -> str:
    words = ("*Memory* is a share of the model's bytes, and what a run with enough memory needs besides: so 100 % holds all "
             "of the model. *First token* counts from the start of the program. *Read a token* is from the first token on. "
             "*Experts held* is the share of the bytes of chosen experts that were in memory. *Waits* is the share of "
             "generating in which a graph waited for what was being read. *The bound* is the larger of two times: that of "
             "computing with enough memory, and that of reading, at the disk's rate in that round, what must be read: of "
             "what each token needs that which does not fit, and of experts those that the policy did not keep. *To mmap*: "
             "tokens/s against plain mmap in the same round. A dash: there is no such figure.")
    verdict = ("**A text differed from that of the run with enough memory.**" if any(r.get("text_differs") for r in rows)
               else "Every text was that of the run with enough memory, byte for byte.")
    ways = [f"- `{name}`: {told[0]}" for name, told in WAYS.items() if any(r["way"] == name for r in rows)]
    models = sorted({str(r["model"]) for r in rows})
    return "\n".join(["# Models larger than memory, managed", "", conditions("bench/optimise.sh", rounds), "", words, "", verdict,
                      "", *ways, "", *(line for model in models for line in of_model(rows, model))])


def medians(rows: list[Row], name: str, divide: float) -> tuple[list[int], list[float]]:
    points = [(int(str(r["limit_percent"])), float(str(r[name])) / divide) for r in rows if r.get(name) is not None]
    shares = sorted({share for share, _ in points})
    return shares, [statistics.median(v for s, v in points if s == share) for share in shares]


def draw(rows: list[Row], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    models = sorted({str(r["model"]) for r in rows})
    figure, axes = plt.subplots(len(models), 2, figsize=(10, 3.6 * len(models)), squeeze=False, layout="constrained")
    for line, model in zip(axes, models):
        mine = [r for r in rows if r["model"] == model]
        for axis, name, label, divide in ((line[0], "tokens_per_s", "tokens/s", 1),
                                          (line[1], "bytes_per_token", "read a token, MiB", MIB)):
            for way in WAYS:
                shares, values = medians([r for r in mine if r["way"] == way], name, divide)
                axis.plot(shares, values, marker="o", label=way) if shares else None
            axis.set(xlabel="memory for weights, % of the model", ylabel=label, title=model)
            axis.set_yscale("symlog" if name == "bytes_per_token" else "log")
            axis.invert_xaxis()
        shares, values = medians([r for r in mine if r["way"] == "all"], "bound_tokens_per_s", 1)
        line[0].plot(shares, values, "k--", label="bound of all") if shares else None
        line[0].legend(fontsize="small")
    figure.savefig(path)


def cells_of(models: list[Path], shares: list[int], peer_shares: list[int], ways: list[str]) -> list[tuple[Path, int, str]]:
    """Where a model has no experts, what is done with them changes nothing: pin+stream is all."""
    return [(m, s, w) for m in models for s in shares for w in ways
            if (w not in PEERS or s in peer_shares) and (w != "pin+stream" or has_experts(m) or "all" not in ways)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shares", type=numbers, default=[100, 75, 50, 35, 25])
    parser.add_argument("--peer-shares", type=numbers, default=[50], help="at which " + " and ".join(PEERS) + " run too")
    parser.add_argument("--ways", default=",".join(DEFAULT), help="of " + ", ".join(WAYS))
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--out", type=Path)
    parser.add_argument("library", type=Path)
    parser.add_argument("llama", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    given = parser.parse_args()
    ways = given.ways.split(",")
    if unknown := [way for way in ways if way not in WAYS]:
        parser.error(f"no such way: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(given.library.resolve(), given.llama, given.tokens, given.context, Path(folder))
        cells = cells_of(given.models, given.shares, given.peer_shares, ways)
        rows = measure(bench, given.models, cells, given.rounds)
    text = report(rows, given.rounds)
    print(text)
    if given.out:
        (given.out / "OPTIMISE.md").write_text(text)
        write_csv(rows, given.out / "optimise.csv")
        draw(rows, given.out / "optimise.svg")
    sys.exit(1 if bench.is_wrong else 0)


if __name__ == "__main__":
    main()
