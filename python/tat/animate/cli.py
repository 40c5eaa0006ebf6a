# SPDX-License-Identifier: MIT
"""tat animate: makes a film of a trace."""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tat import ErrorKind, TatError, TraceAnalyzer, cli, output
from tat.animate.steps import MOST_FRAMES, Steps, steps
from tat.plot.chart import AbsentError
from tat.plot.source import Source

_RATE = {"mp4": 24, "gif": 8}
"""Frames a second."""
_SECONDS = 30
"""What a film lasts where no speed was asked for."""
_FILTER = "scale=800:-2:flags=lanczos,split[a][b];[a]palettegen=stats_mode=diff[p];[b][p]paletteuse=dither=none"
_ENCODE = {
    "mp4": ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart"],
    "gif": ["-filter_complex", _FILTER, "-loop", "0"],
}


def _ffmpeg() -> str:
    found = shutil.which("ffmpeg")
    if not found:
        raise TatError(ErrorKind.SYSTEM, "films need ffmpeg, which is not installed: sudo apt-get install ffmpeg")
    return found


def default_speed(evaluations: int) -> float:
    """How many evaluations a second of film shows."""
    return max(1.0, evaluations / _SECONDS)


def _encode(source: Source, s: Steps, path: Path, rate: int, title: str) -> None:
    """Writes the file whole or not at all. Raises TatError (SYSTEM) if ffmpeg fails."""
    from tat.animate import draw  # noqa: PLC0415 # which takes a second, in which nobody would see anything

    size = f"{draw.WIDTH}x{draw.HEIGHT}"
    raw = ["-f", "rawvideo", "-pix_fmt", "rgba", "-video_size", size, "-framerate", str(rate), "-i", "-"]
    # In a session of its own, a terminal's Ctrl-C does not make it say that it was interrupted.
    command = [_ffmpeg(), "-v", "error", "-y", *raw, "-an", *_ENCODE[path.suffix[1:]]]
    progress = _Bar(f"{path.name}: frames", len(s.row))
    with output.whole(path) as part, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([*command, str(part)], stdin=subprocess.PIPE, stderr=errors, start_new_session=True)
        with output.unfinished(process.kill), process:
            assert process.stdin is not None
            try:
                for i, picture in enumerate(draw.frames(source, s, title)):
                    process.stdin.write(picture.tobytes())
                    progress(i + 1)
                process.stdin.close()
            except BrokenPipeError:
                pass  # its status and its words say why
            process.wait()
        progress.end()
        if process.returncode != 0:
            errors.seek(0)
            words = errors.read().decode("utf-8", "replace").strip().splitlines()
            raise TatError(ErrorKind.SYSTEM, f"{path}: ffmpeg failed: {words[-1] if words else 'it gave no reason'}")


class _Bar:
    """How far something is, on a terminal."""

    def __init__(self, name: str, of: int) -> None:
        self._name, self._of = name, of
        self(0)

    def __call__(self, done: int) -> None:
        if sys.stderr.isatty():
            bar = "#" * (40 * done // self._of)
            text = f"\r\033[Ktat animate: {self._name} [{bar:40}] {done:,} of {self._of:,}"
            print(text, end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def film(trace: TraceAnalyzer, path: Path, speed: float | None = None) -> Path:
    """Makes a film. The file's name decides whether it is .mp4 or .gif.

    `speed` is how many evaluations (generated tokens) a second of film shows. Raises TatError: NO if there is nothing
    to show, USAGE for another kind of file or an invalid speed, SYSTEM without ffmpeg. Raises OSError if the file
    cannot be written.
    """
    kind = path.suffix[1:].lower()
    if kind not in _RATE or path.suffix != path.suffix.lower():
        raise TatError(ErrorKind.USAGE, f"{path}: the name of a film must end in .mp4 or .gif")
    if speed is not None and not (math.isfinite(speed) and speed > 0):
        raise TatError(ErrorKind.USAGE, f"--speed {speed}: must be a number above 0")
    _ffmpeg()
    try:
        source = Source(trace)
        count = len(source.numbers)
        frames_each = min(_RATE[kind] / (speed or default_speed(count)), MOST_FRAMES / count)
        reading = _Bar("reading evaluations", count)
        s = steps(source, frames_each, reading)
        reading.end()
    except AbsentError as error:
        raise TatError(ErrorKind.NO, f"there is nothing to show: {error}") from error
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _encode(source, s, path, _RATE[kind], source.headline("tokens", "run"))
    return path


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tat animate",
        description="Makes a film of a trace: a map of the model file, layers and experts light up as tokens pass. "
        "Writes into the trace's folder analysis/ and prints the path of each file. Needs ffmpeg.",
        epilog=f"A film has at most {MOST_FRAMES:,} frames. Exit status: 0 success; 1 nothing to show; 2 wrong usage; "
        "3 no trace; 4 no ffmpeg, or cannot write.",
    )
    parser.add_argument("trace", nargs="?", metavar="TRACE", help="folder, file or name of a trace; default: newest")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE")
    parser.add_argument(
        "--speed",
        type=float,
        metavar="NUMBER",
        help=f"tokens per second of film; default: 1, or more if the film would last over {_SECONDS} s",
    )
    parser.add_argument("--format", metavar="LIST", help="mp4, gif or mp4,gif; default: the suffix of FILE, else mp4")
    return parser


def _paths(trace: TraceAnalyzer, output: str | None, formats: str | None) -> list[Path]:
    folder = (trace.path if trace.path.is_dir() else trace.path.parent) / "analysis"
    path = Path(output) if output else folder / "animation.mp4"
    if not formats:
        return [path]
    kinds = list(dict.fromkeys(part.strip() for part in formats.split(",") if part.strip()))
    if not kinds or set(kinds) - set(_RATE):
        raise TatError(ErrorKind.USAGE, f"--format {formats}: choose from {', '.join(_RATE)}")
    return [path.with_suffix(f".{kind}") for kind in kinds]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: returns its exit status."""
    return cli.run("animate", lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    asked = _arguments().parse_args(arguments)
    with TraceAnalyzer(asked.trace) as trace:
        for path in _paths(trace, asked.output, asked.format):
            print(film(trace, path, asked.speed))
    return 0
