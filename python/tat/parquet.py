# SPDX-License-Identifier: MIT
"""tat parquet: traces as a Parquet dataset."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tat import arrow, cli, dataset, filters
from tat.errors import ErrorKind, TatError
from tat.trace import Trace

_EXAMPLES = """
Examples:
  tat parquet -o traces.parquet                   the newest trace
  tat parquet run_1 run_2 -o traces.parquet       add two runs to the dataset
  tat parquet --kinds kv --heads -o kv.parquet    the KV cache by head
  tat sql "SELECT run, sum(size) FROM accesses GROUP BY run" traces.parquet

The dataset has the tables runs, accesses, tensors, evaluations, tokens,
routing and events. All are partitioned by run, as Hive does it; accesses also
by phase and layer. Runs that are already in the dataset stay in it; a run of
the same name is replaced. The dataset changes only when everything is written.

Exit status: 0 success; 1 no trace has an access record, so nothing was
written; 2 wrong usage; 3 no trace; 4 a system error.
"""


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*.parquet"))


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="tat parquet",
        description="Writes traces as a partitioned Parquet dataset.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trace", nargs="*", metavar="TRACE", help="folder, file or name of a trace; default: newest")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", type=Path, help="dataset to create or add to")
    filters.add_options(parser)
    options = parser.parse_args(filters.arguments(argv))

    traces = [Trace(path) for path in options.trace or [None]]
    wanted, named = filters.given(options), dataset.names_of(traces)
    passing = arrow.filters_of(named, wanted)
    if all(next(named[name].pieces(filter.accesses), None) is None for name, filter in passing.items()):
        which = f"{traces[0].path} has" if len(traces) == 1 else "these traces have"
        why = "no graph was computed, or none of the tokens to be recorded"
        raise TatError(
            ErrorKind.NO,
            "nothing was written: no access record matches the filter"
            if wanted
            else f"nothing was written: {which} no access record ({why})",
        )
    progress = cli.Progress("parquet", "access records written")
    try:
        count = dataset.write(traces, options.output, progress, wanted)
    finally:
        progress.end()
    runs = len({dataset.run_name(trace) for trace in traces})
    said = f"{runs} run{'s' * (runs > 1)}, {count:,} access records; {_size(options.output) / 2**20:.1f} MiB in all"
    print(f"tat parquet: {said} in {options.output}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run("parquet", main))
