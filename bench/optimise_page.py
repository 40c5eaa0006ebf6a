# SPDX-License-Identifier: MIT
"""The page of bench/optimise.py, of its rows alone: the answer, what was aimed at, what falls short and why, all figures."""

from cells import INTERVALS, MIB, Row, digits, spread_of
from optimise_run import WAYS, way_of
from optimise_table import Cell, cells_of, lines_of, ms, named, pairs, place_of
from optimise_targets import field_table, shortfalls, targets_table

# title, name, divisor
SPEED: list[tuple[str, str, float]] = [
    ("tokens/s", "tokens_per_s", 1), ("to mmap", "to_mmap", 1), ("first token, s", "first_token_s", 1)]
SHARES: list[tuple[str, str, float]] = [
    ("of the bound, %", "bound_share", 0.01), ("of the policy's, %", "policy_bound_share", 0.01),
    ("predicted/delivered", "predicted_ratio", 1), ("waits, %", "wait_share", 0.01)]
BYTES: list[tuple[str, str, float]] = [
    ("read a token, MiB", "bytes_per_token", MIB), ("mmap's/its", "bytes_to_mmap", 1), ("read/wanted", "amplification", 1),
    ("re-read", "reread", 1), ("experts kept, %", "kept_share", 0.01), ("in hindsight, %", "belady_held_share", 0.01)]


OFTEN = 6  # runs, from which on a median has an interval


# ---- parts ----


def answer(cells: list[Cell]) -> list[str]:
    both = pairs(cells)
    short = [(plain, managed) for plain, managed in both if managed.is_short and managed.values("to_mmap")]
    fits = [managed for _, managed in both if not managed.is_short and managed.values("to_mmap")]
    said = []
    if short:
        often = [managed for _, managed in short if len(managed.values("to_mmap")) >= OFTEN]
        gains = sorted((cell.interval("to_mmap")[0], named(cell)) for cell in often or [managed for _, managed in short])
        least, most = gains[0], gains[-1]
        said.append(f"Where the model does not fit, `tat run` generates {digits(least[0])} to {digits(most[0])} times as many "
                    f"tokens/s as plain mmap: least with {least[1]}, most with {most[1]}"
                    f"{f' (of the cells with {OFTEN} runs or more)' * (0 < len(often) < len(short))}.")
    if fits:
        said.append("Where it fits: " + "; ".join(
            f"{managed.text('to_mmap')} times plain mmap's tokens/s with {managed.model}"
            f"{' (nothing is managed)' * ('declined' in managed.outcome)}" for managed in fits) + ".")
    wrong = sum(bool(r.get("text_differs")) for c in cells for r in c.rows)
    compared = sum("text_differs" in r for c in cells for r in c.rows)
    said.append(f"**In {wrong} of {compared} runs the text differed from that with enough memory.**" if wrong else
                f"All {compared} texts were those of runs with enough memory, byte for byte.")
    rows = [[managed.model, managed.memory, plain.text("tokens_per_s"), managed.text("tokens_per_s"), managed.text("to_mmap"),
             f"{ms(plain.latency(50))}, {ms(plain.latency(99))}", f"{ms(managed.latency(50))}, {ms(managed.latency(99))}",
             f"{plain.text('bytes_per_token', MIB)}", managed.text("bytes_per_token", MIB)] for plain, managed in both]
    head = ["model", "memory", "mmap, tokens/s", "`tat run`, tokens/s", "times", "mmap, P50 and P99 of a token, ms",
            "`tat run`, P50 and P99, ms", "mmap reads a token, MiB", "`tat run`, MiB"]
    return [" ".join(said), "", *lines_of(head, rows)]


def added(cell: Cell) -> str:
    """Without experts, all that is done is to pin and to stream."""
    return "pattern" if cell.way == "all" and cell.kind == "dense" else way_of(cell.way).step or cell.way


def attribution(cells: list[Cell]) -> list[str]:
    """Each strategy on top of those before it."""
    steps = [way for way in WAYS if way == "mmap" or WAYS[way].step]
    rows = []
    for place in dict.fromkeys(place_of(c.first) for c in cells if c.is_short):
        mine = {c.way: c for c in cells if place_of(c.first) == place and c.values("tokens_per_s")}
        have = [way for way in steps if way in mine]
        if "mmap" not in have or len(have) < 3:
            continue
        before = None
        for way in have:
            now = mine[way].median("tokens_per_s") or 0
            rows.append([mine[way].model, mine[way].memory, f"{'+ ' * (before is not None)}{added(mine[way])}",
                         mine[way].text("tokens_per_s"), f"{digits(now / before)} times" if before else "-",
                         mine[way].text("bytes_per_token", MIB)])
            before = now
    if not rows:
        return []
    head = ["model", "memory", "", "tokens/s", "to the line before", "read a token, MiB"]
    return ["## What each strategy adds", "", "One on top of the other.", "", *lines_of(head, rows), ""]


PREDICTION: list[tuple[str, str, float]] = [
    ("right, %", "foreseen_share", 0.01), ("first guess right, %", "foreseen_first_share", 0.01),
    ("read ahead and used, MiB a token", "ahead_used_bytes", MIB), ("and wasted", "ahead_wasted_bytes", MIB),
    ("experts kept, %", "kept_share", 0.01), ("and found, %", "held_share", 0.01), ("tokens/s", "tokens_per_s", 1)]


def prediction(cells: list[Cell]) -> list[str]:
    """Of experts, by method, where there are several."""
    places = {place_of(c.first) for c in cells if way_of(c.way).foresee}
    rows = [[c.model, c.memory, c.way, *(c.text(name, divide) for _, name, divide in PREDICTION)] for c in cells
            if place_of(c.first) in places and (way_of(c.way).foresee or c.way == "all") and c.values("tokens_per_s")]
    if not rows:
        return []
    head = ["model", "memory", "", *(title for title, _, _ in PREDICTION)]
    return ["## Experts predicted", "", "What the next layer will choose is guessed, and read while the disk is idle.", "",
            *lines_of(head, rows), ""]


def of_model(cells: list[Cell]) -> list[str]:
    speed = [[c.memory, c.way, str(len(c.rows)), *(c.text(name, divide) for _, name, divide in SPEED), ms(c.latency(50)),
              ms(c.latency(99)), *(c.text(name, divide) for _, name, divide in SHARES), c.outcome] for c in cells]
    size = [[c.memory, c.way, *(c.text(name, divide) for _, name, divide in BYTES)] for c in cells if c.values("tokens_per_s")]
    plenty = [float(r["plenty_tokens_per_s"]) for c in cells for r in c.rows]
    rates = [float(r["disk_bytes_per_s"]) / MIB for c in cells for r in c.rows]
    first = cells[0].first
    wanted = f", of which each token wants {digits(first['wanted_bytes'] / MIB)} MiB" if first.get("wanted_bytes") else ""
    return [f"## {cells[0].model}", "",
            f"{digits(first['model_bytes'] / MIB)} MiB{wanted}. With enough memory: {spread_of(plenty)} tokens/s, and "
            f"{digits(first['own_bytes'] / MIB)} MiB beside the model. The disk: {spread_of(rates)} MiB/s.", "",
            *lines_of(["memory", "way", "runs", *(t for t, _, _ in SPEED), "P50, ms", "P99, ms", *(t for t, _, _ in SHARES), ""],
                      speed), "", *lines_of(["memory", "way", *(t for t, _, _ in BYTES)], size), ""]


def said_once(rows: list[Row], name: str) -> str:
    return ", ".join(dict.fromkeys(str(r[name]) for r in rows if r.get(name)))


def conditions(rows: list[Row]) -> str:
    rounds = len({(r["sitting"], r["round"]) for r in rows})
    dates = sorted({str(r["sitting"])[:10] for r in rows})
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return (f"`bench/optimise.sh`, {when}: {len(rows)} runs in {rounds} round{'s' * (rounds != 1)}, each in random order; "
            f"{said_once(rows, 'cpu')}, {said_once(rows, 'cpus')} CPUs, Linux {said_once(rows, 'kernel')}; "
            f"{said_once(rows, 'llama')}; commit {said_once(rows, 'commit')}. {INTERVALS} P50 and P99 are of the tokens of all "
            "runs together.")


MEASURED = """*Memory* is a share of the model's bytes for the model, beside what a run with enough memory holds of its own: so
100 % holds all of it. *In all*: the program's own is within that share, too. Each run has a cgroup of its own, without swap,
and begins with a cold page cache. Ways by which the kernel reads what does not fit generate fewer tokens, as they are slow;
`optimise.csv` has how many.

*Tokens/s* are llama.cpp's own. The time of a token is that between two tokens coming out of the program, read from its
pipe, whatever the way. *First token* counts from the start of the program. *To mmap* is against plain mmap in the same round.

*Read a token* is what the kernel counted as read from the disk for the process, from the first token on. *Read/wanted*
divides it by the bytes of weights that a token's graph wants (read amplification). *Re-read* divides all that was read from
the disk, loading included, by the bytes of weights that the run wants, each once. It grows with each token, so a run of fewer
tokens than others of its model and memory counts as if it had gone on to as many, reading as much for each.

*The bound* is the larger of two times: computing, as with enough memory in the same round; and reading, at the disk's rate
just before the run, what must be read. That is: of what each token wants, what does not fit beside what the program holds of
its own; of experts, what the best choice in hindsight (Belady) would miss with the memory that then is left, all of which it
may fill before the first token. *Of the policy's*: what its policy missed in this run takes the place of that. The disk's
rate is that of 8 reads at once, anywhere in the file, past the page cache into large pages, each as large as a slice of an
expert (without experts: 1 MiB).

*Predicted* is what `tat plan` said of the run beforehand, by a recorded run with enough memory and what `tat doctor --disk` measured at the begin of
the round. *Waits* is
the share of generating in which a graph waited for what was being read. *Experts kept* is the share of the bytes of chosen
experts that the policy had kept in memory; *found* has those too that were read ahead in time. *In hindsight* is what `tat plan`
says that no policy could exceed under the same limit. A dash stands where nothing was measured."""


def page(rows: list[Row]) -> str:
    cells = cells_of(rows)
    both = pairs(cells)
    models = list(dict.fromkeys(c.model for c in cells))
    ways = [f"- `{name}`: {way.words}" for name, way in WAYS.items() if any(c.way == name for c in cells)]
    parts: list[list[str]] = [
        ["# Models larger than memory, managed", "", *answer(cells), "", "![Tokens/s and bytes read](optimise.svg)", ""],
        [conditions(rows), ""], targets_table(both), shortfalls(both), field_table(both), attribution(cells), prediction(cells),
        *(of_model([c for c in cells if c.model == model]) for model in models),
        ["## Ways", "", *ways, "", "## How it was measured", "", MEASURED, ""]]
    return "\n".join(line for part in parts for line in part)
