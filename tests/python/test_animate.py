# SPDX-License-Identifier: MIT
"""Films: what lights up, and what a player gets."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tat
from tat.animate import cli
from tat.animate import steps as module
from tat.animate.steps import steps
from tat.plot import AbsentError, Source

from conftest import run
from drawn import by_token, records_of, source_of

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no ffmpeg: scripts/install-deps.sh test")


def probed(path: Path) -> dict[str, Any]:
    shown = "stream=width,height,nb_read_frames,r_frame_rate,codec_name:format=duration"
    text = run("ffprobe", "-v", "error", "-count_frames", "-show_entries", shown, "-of", "json", path)
    found = json.loads(text)
    return {**found["streams"][0], **found["format"]}


def pictures(path: Path, width: int, height: int) -> np.ndarray[Any, Any]:
    out = Path("frames.raw")
    run("ffmpeg", "-v", "error", "-y", "-i", path, "-f", "rawvideo", "-pix_fmt", "gray", out)
    return np.fromfile(out, np.uint8).reshape(-1, height, width)


@needs_ffmpeg
@pytest.mark.parametrize(("kind", "rate", "width"), [("mp4", 24, 1280), ("gif", 8, 800)])
def test_films(kind: str, rate: int, width: int, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(f"film.{kind}")
    assert cli.main([str(toy), "-o", str(path), "--speed", "8"]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    evaluations = len(source_of(toy).numbers)
    frames = evaluations * rate // 8
    found = probed(path)
    assert int(found["nb_read_frames"]) == frames
    assert float(found["duration"]) == pytest.approx(frames / rate, rel=0.1)
    assert (found["width"], found["height"]) == (width, width * 9 // 16)
    decoded = pictures(path, width, width * 9 // 16)
    assert len(decoded) == frames
    assert len({picture.tobytes() for picture in decoded}) >= evaluations  # it moves
    # The bar grows from the first picture to the last.
    bar = decoded[:, round(0.9275 * decoded.shape[1]), :] < 160
    filled = bar.sum(axis=1)
    assert filled[0] < filled[frames // 2] < filled[-1]
    assert filled[-1] > 0.85 * width
    assert list(Path().glob(".film*")) == []


@needs_ffmpeg
def test_speed(toy: Path) -> None:
    seconds = []
    for speed in ("4", "16"):
        assert cli.main([str(toy), "-o", "film.mp4", "--speed", speed]) == 0
        seconds.append(float(probed(Path("film.mp4"))["duration"]))
    assert seconds[0] == pytest.approx(4 * seconds[1], rel=0.1)


@needs_ffmpeg
def test_both_kinds_beside_the_trace(toy: Path) -> None:
    assert cli.main([str(toy), "--format", "mp4,gif", "--speed", "40"]) == 0
    assert sorted(path.name for path in (toy / "analysis").glob("animation.*")) == ["animation.gif", "animation.mp4"]


@pytest.mark.parametrize("trace", ["toy", "real"])
@pytest.mark.parametrize("frames_each", [6.0, 1.0, 0.3])
def test_every_byte_lights_up_once(trace: str, frames_each: float, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(trace)
    source, records = source_of(path), records_of(path)
    found = steps(source, frames_each)
    frames = int(np.ceil(len(source.numbers) * frames_each))
    assert len(found.cells) == len(found.layers) == len(found.row) == frames
    reads = records[records["memory"].isin(["file", "copy"]) & (records["access"] == "read")]
    assert found.cells.sum() == pytest.approx(float(reads["size"].sum()))
    kinds = np.where(records["memory"].isin(["file", "copy"]), 0, np.where(records["memory"] == "kv", 1, 2))
    for kind in range(3):
        assert found.layers[:, :, kind].sum() == pytest.approx(float(records["size"][kinds == kind].sum()))
    expected = records.groupby("layer")["size"].sum().to_numpy()
    np.testing.assert_allclose(found.layers.sum(axis=(0, 2))[:-1], expected)
    routed = records[records["expert"].notna()]
    assert found.experts.sum() == pytest.approx(float(routed["size"].sum()))
    assert (np.diff(found.row) >= 0).all()
    assert found.row[-1] == len(source.numbers) - 1


def test_an_evaluation_lights_up_in_its_own_frames(toy: Path) -> None:
    source, records = source_of(toy), records_of(toy)
    found = steps(source, 3.0)
    each = found.layers.sum(axis=(1, 2)).reshape(-1, 3).sum(axis=1)
    np.testing.assert_allclose(each, records.groupby("graph")["size"].sum().to_numpy())
    single = records[records["tokens"] == 1]
    assert by_token(single, single["size"], single["phase"], ["generate"]).sum() == single["size"].sum()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["-o", "film.avi"], 2, "must end in .mp4 or .gif"),
        (["--format", "avi"], 2, "choose from mp4, gif"),
        (["--speed", "0", "-o", "film.mp4"], 2, "--speed 0.0: must be a number above 0"),
        (["--speed", "nan", "-o", "film.mp4"], 2, "--speed nan: must be a number above 0"),
        (["-o", "file/film.mp4"], 4, "file"),
    ],
)
def test_used_wrongly(
    arguments: list[str], status: int, words: str, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    assert cli.main([str(toy), *arguments]) == status
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("trace", ["empty", "outside"])
def test_nothing_to_show(trace: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(request.getfixturevalue(trace)), "-o", "film.mp4"]) == 1
    assert "there is nothing to show" in capsys.readouterr().err
    assert not Path("film.mp4").exists()


def test_no_trace() -> None:
    assert cli.main(["nowhere"]) == 3


def test_without_ffmpeg(toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(Path.cwd()))
    assert cli.main([str(toy), "-o", "film.mp4"]) == 4
    assert "sudo apt-get install ffmpeg" in capsys.readouterr().err


def test_ffmpeg_that_fails(toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("ffmpeg").write_text("#!/bin/sh\necho 'no room left' >&2\nexit 1\n")
    Path("ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{Path.cwd()}:{os.environ['PATH']}")
    assert cli.main([str(toy), "-o", "film.mp4"]) == 4
    assert "film.mp4: ffmpeg failed: no room left" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["ffmpeg"]


def test_no_room(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(toy)
    frames, layers, columns = steps(source, 1.0).layers.shape
    assert source.n_experts > columns
    monkeypatch.setattr(module, "_MOST_LIGHTS", frames * layers * columns)
    assert steps(source, 1.0).experts.shape[2] == 0  # layers still have room
    with pytest.raises(AbsentError, match="more than a film has room for"):
        steps(source, 3.0)


def test_a_film_has_a_bound(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "MOST_FRAMES", 20)
    seen = []
    monkeypatch.setattr(cli, "_encode", lambda source, found, *_: seen.append(len(found.row)))
    monkeypatch.setattr(cli, "_ffmpeg", lambda: "ffmpeg")
    cli.film(tat.TraceAnalyzer(toy), Path("film.mp4"), 0.001)
    assert seen == [20]
    assert isinstance(source_of(toy), Source)
