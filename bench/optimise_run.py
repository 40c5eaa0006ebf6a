# SPDX-License-Identifier: MIT
"""One run of bench/optimise.py: a model, so much memory, and a way of using it."""

import hashlib
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from cells import MIB, Row, compiled
from memory_group import Group
from optimise_model import Model


@dataclass(frozen=True)
class Way:
    words: str
    load_mode: str = ""  # of llama-completion
    mapping: str = ""  # MAPPING of bench/mapping.c
    strategy: str = ""  # of libtat_manage.so
    reader: str = "any"
    foresee: str = ""  # how experts are predicted; empty: as by default
    leaves_rest: bool = False  # to the kernel: what does not fit
    leaves_experts: bool = False
    is_peer: bool = False
    step: str = ""  # what it adds to the one before it


ALL = "pin+stream+cache"
WAYS: dict[str, Way] = {
    "mmap": Way("as llama.cpp does it: mapped, populated"),
    "faults": Way("mapped, read when touched, with read-ahead", mapping="faults", is_peer=True),
    "willneed": Way("mapped, `MADV_WILLNEED` for all of it, not populated", mapping="willneed", is_peer=True),
    "random": Way("mapped, `MADV_RANDOM`: read when touched, page by page", mapping="random", is_peer=True),
    "read": Way("not mapped: read into the program's own memory", load_mode="none", is_peer=True),
    "direct": Way("the same past the page cache (O_DIRECT)", load_mode="dio", is_peer=True),
    "mlock": Way("mapped and locked in memory", load_mode="mmap+mlock", is_peer=True),
    "pin": Way("managed: what fits stays", strategy="pin", leaves_rest=True, step="pin"),
    "stream": Way("managed: and what does not fit is read when it is needed", strategy="pin+stream+demand",
                  leaves_experts=True, step="stream"),
    "pattern": Way("managed: and that ahead of its use, as the order is known", strategy="pin+stream", leaves_experts=True,
                   step="pattern"),
    "all": Way("managed: and experts are kept by a policy, and read as the router chooses, or the next layer's router is "
               "predicted to",
               strategy=ALL, step="experts"),
    "lock": Way("what fits is kept in the page cache by mlock", strategy="lock", leaves_rest=True),
    "populate": Way("as `all`, but in the page cache: mlock, and MADV_POPULATE_READ ahead of use", strategy="lock+populate"),
    "ahead": Way("the same, by MADV_WILLNEED ahead of use", strategy="lock+willneed"),
    "pread": Way("the same, by threads that read ahead of use", strategy="lock+pread"),
    "foresee-none": Way("as `all`, but experts are not predicted", strategy=ALL, foresee="none"),
    "foresee-previous": Way("as `all`, but experts are predicted by the choice of the token before", strategy=ALL, foresee="previous"),
    "foresee-markov": Way("as `all`, but experts are predicted by what followed this layer's choice so far", strategy=ALL, foresee="markov"),
    "all-uring": Way("the same, read by io_uring", strategy=ALL, reader="uring"),
    "all-threads": Way("the same, read by threads", strategy=ALL, reader="threads"),
}


def way_of(name: str) -> Way:
    """Of a table that was made by another version, it may be none of these."""
    return WAYS.get(name, Way(""))


ERRORS = {"killed": "killed: out of memory", "failed": "failed"}
NOTHING_SAID = "it printed no eval time"
DECLINED = {"fits": "declined: the model fits", "short": "declined: too little memory is left for the model",
            "refused": "declined: the kernel refuses what it needs"}


def load_options(llama: Path) -> dict[str, list[str]]:
    """By mode, those that this llama.cpp has."""
    told = subprocess.run([llama / "llama-completion", "--help"], check=False, capture_output=True, text=True).stdout
    if "--load-mode" not in told:  # before 2026
        return {"": [], "none": ["--no-mmap"], "mmap+mlock": ["--mlock"]}
    return {"": []} | {mode: ["-lm", mode] for mode in ("none", "dio", "mmap+mlock")}


def forget(model: Path) -> None:
    """The page cache keeps nothing of it."""
    fd = os.open(model, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def bytes_read(pid: int) -> int:
    try:
        found = re.search(r"^read_bytes: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.M)
        return int(found[1]) if found else 0
    except OSError:
        return 0


def heard(child: subprocess.Popen[bytes]) -> tuple[bytes, list[float], int]:
    """The text, when each part of it came, and the bytes that were read from the disk before the first one."""
    text, came, before = b"", [], 0
    assert child.stdout
    while more := child.stdout.read(1 << 16):
        came.append(time.monotonic())
        before = before if text else bytes_read(child.pid)
        text += more
    return text, came, before


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
        return {part[1]: part[2] if len(part) > 2 else "" for part in parts if len(part) > 1}


def values_of(line: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in line.split() if "=" in part)


def managed_figures(lines: dict[str, str]) -> Row:
    begin, end = values_of(lines.get("begin", "")), values_of(lines.get("end", ""))
    told = [lines["note"]] if "note" in lines else []
    told += [words for kind, words in DECLINED.items() if kind in lines]
    told += ["stopped managing: the program needed the memory"] * ("handed_back" in lines)
    row: Row = {"note": "; ".join(told)} if told else {}
    row |= {name: begin[name] for name in ("reader", "direct") if name in begin}
    row |= {f"{name}_bytes": int(begin[name])
            for name in ("pinned", "streamed", "ring", "cached", "cache", "left", "pool") if name in begin}
    n = {name: int(value) for name, value in end.items() if value.isdigit()}
    row |= {name: n[name] for name in ("errors", "given_up", "handed_back", "majflt") if name in n}
    tokens = n.get("tokens", 0)
    if not tokens or not n["ns"]:
        return row
    row |= {"token_ns": n["ns"] / tokens, "wait_ns": n["wait_ns"] / tokens}
    row["busy_rate"] = n["read"] * 1e9 / n["disk_ns"] if n["disk_ns"] else None  # while a read was under way
    if n.get("token_wanted"):
        row["held_share"] = n["token_held"] / n["token_wanted"]
        row["kept_share"] = n["token_kept"] / n["token_wanted"]
        row["policy_missed_bytes"] = (n["token_wanted"] - n["token_kept"]) / tokens
    for name, part, whole in (("foreseen_share", "foreseen_right", "foreseen"),
                              ("foreseen_first_share", "foreseen_first_right", "foreseen_first")):
        if n.get(whole):
            row[name] = n[part] / n[whole]
    row |= {f"{name}_bytes": n[name] / tokens for name in ("ahead_used", "ahead_wasted") if n.get("foreseen")}
    return row


def reason(said: str, status: int) -> str:
    """Of a run that failed, in its own words."""
    lines = [line.strip() for line in said.splitlines()]
    errors = [line for line in lines if re.search(r"error|fail|unable|cannot", line, re.I)]
    return (errors or [f"status {status}"])[-1][:120] if status else NOTHING_SAID


class Runner:
    def __init__(self, library: Path, llama: Path, context: int, folder: Path) -> None:
        self.library, self.llama, self.context, self.folder = library, llama, context, folder
        self.mapping = compiled(folder)
        self.load_options = load_options(llama)
        self.fifo = Fifo(folder / "report")

    def can(self, way: str) -> bool:
        return WAYS[way].load_mode in self.load_options

    def command(self, model: Path, tokens: int, mode: str = "") -> list[str | Path]:
        return [self.llama / "llama-completion", "-m", model, "-p", "The three laws of robotics are", "-n", str(tokens),
                "-c", str(self.context), "-t", str(os.cpu_count()), "--temp", "0", "-no-cnv", "--ignore-eos",
                "--no-display-prompt", *self.load_options[mode]]

    def environment(self, way: Way, rate: float) -> dict[str, str]:
        if way.mapping:
            return dict(os.environ) | {"MAPPING": way.mapping, "LD_PRELOAD": str(self.mapping)}
        if way.strategy:
            told = f"memory=0;strategy={way.strategy};reader={way.reader};disk={rate:.0f};report={self.fifo.path}"
            told += f";foresee={way.foresee}" if way.foresee else ""
            return dict(os.environ) | {"TAT_MANAGE": told, "TAT_RECORD": "0", "LD_PRELOAD": str(self.library)}
        return dict(os.environ)

    def run(self, model: Path, name: str, tokens: int, limit: int, rate: float = 0) -> tuple[Row, bytes, str]:
        """Figures, the text, and what was said. On a busy machine llama-completion may end before it has said all."""
        for _attempt in range(3):
            row, text, said = self.run_once(model, name, tokens, limit, rate)
            if row.get("why") != NOTHING_SAID:
                break
        return row, text, said

    def run_once(self, model: Path, name: str, tokens: int, limit: int, rate: float) -> tuple[Row, bytes, str]:
        """Tokens are timed as they come out, whatever the way: llama-completion writes each as soon as it has it."""
        way = WAYS[name]
        forget(model)
        self.fifo.lines()
        with (self.folder / "talk").open("w+") as talk, Group() as group:
            group.limit(limit)
            begin = time.monotonic()
            with subprocess.Popen(self.command(model, tokens, way.load_mode), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=talk, bufsize=0, env=self.environment(way, rate),
                                  preexec_fn=group.enter) as child:
                try:
                    text, came, before = heard(child)
                    _, status, usage = os.wait4(child.pid, 0)
                except BaseException:  # Ctrl-C
                    child.kill()
                    raise
                child.returncode = os.waitstatus_to_exitcode(status)
            row: Row = {"killed": int(group.kills() > 0), "failed": 0, "peak_bytes": group.peak(),
                        "read_bytes": usage.ru_inblock * 512, "majflt_all": usage.ru_majflt}
            talk.seek(0)
            said = talk.read()
        rates = re.findall(r" eval time = .*?runs.*?([\d.]+) tokens per second", said)  # llama.cpp's own
        if child.returncode == 0 and rates and came:
            gaps = [(b - a) * 1000 for a, b in zip(came, came[1:tokens])]
            row |= {"tokens_per_s": float(rates[-1]), "first_token_s": came[0] - begin,
                    "bytes_per_token": max(0, row["read_bytes"] - before) / max(1, tokens - 1),
                    "token_ms": " ".join(f"{gap:.2f}" for gap in gaps)}
        elif not row["killed"]:
            row |= {"failed": 1, "why": reason(said, child.returncode)}
        return row | managed_figures(self.fifo.lines()), text, said


class Texts:
    """What runs print with enough memory."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.known: dict[tuple[Path, int], bytes] = {}

    def of(self, model: Model, tokens: int) -> bytes:
        if (model.path, tokens) not in self.known:
            row, text, said = self.runner.run(model.path, "mmap", tokens, plenty(model.path))
            if row["killed"] or row["failed"]:
                raise RuntimeError(f"{model.path.name} does not run with enough memory: {said[-2000:]}")
            self.known[model.path, tokens] = text
        return self.known[model.path, tokens]

    def differ(self, model: Model, tokens: int, text: bytes) -> bool:
        """One may be cut short, this one or the one that was taken with enough memory."""
        known = self.of(model, tokens)
        if text != known and text.startswith(known):
            self.known[model.path, tokens] = text
        return not known.startswith(text) and not text.startswith(known)


def plenty(model: Path) -> int:
    return 4 * model.stat().st_size + 512 * MIB


def text_figures(texts: Texts, model: Model, tokens: int, text: bytes) -> Row:
    differs = texts.differ(model, tokens, text)
    return {"text": hashlib.md5(text).hexdigest(), "text_differs": int(differs),
            "text_short": int(not differs and len(text) < len(texts.of(model, tokens)))}
