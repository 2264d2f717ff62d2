"""The benchmarks: turns, ratios, missing peers, runs that are void, and what is stored."""

import copy
import json
import statistics
import subprocess
import sys

import pytest

from benchmarks import __main__, project, tables, turns
from benchmarks.turns import OURS, Case, Side, read_results, run_case
from pagetools.book import STEPS

WORKS = """
import time

def prepare(seconds=0.0, result=1, megabytes=0):
    def work():
        room = bytearray(megabytes * 1_000_000)
        time.sleep(seconds)
        return result
    return work
"""
CASES = [
    (name, number, case)
    for name in tables.NAMES
    for number, case in enumerate(read_results(name).get("cases", []))
]


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Let sides run work that sleeps, and returns what it is told to."""
    (tmp_path / "fake_works.py").write_text(WORKS, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def side(name, needs=(), **settings):
        return Side(name, "fake_works", settings, needs)

    return side


def case_of(*sides, agree=lambda results: len(set(results.values())) == 1):
    """A case of the sides."""
    return Case(name="sleeping", amount=10.0, unit="naps", sides=sides, agree=agree)


def test_a_slower_peer_gives_a_ratio_above_one(fake, monkeypatch, capsys):
    """The ratio is the peer's time by ours, the speed is amount by time, quartiles in order."""
    monkeypatch.setattr(turns, "versions", lambda: {"sleep": "1"})
    record = run_case(
        case_of(fake(OURS, seconds=0.02), fake("peer", ("sleep",), seconds=0.06)), rounds=9
    )
    ratio = record["ratio"][OURS]["peer"]
    assert 1.5 < ratio["lower_quartile"] <= ratio["median"] <= ratio["upper_quartile"] < 3.5
    assert record["speed"][OURS]["median"] == pytest.approx(
        10 / statistics.median(record["seconds"][OURS]), rel=1e-3
    )
    assert len(record["seconds"]["peer"]) == 9
    assert record["missing"] == []
    assert "LiterateGPT : peer" in capsys.readouterr().out


def test_sides_that_disagree_void_the_run(fake, monkeypatch):
    """Where the sides computed different things, there is no result."""
    monkeypatch.setattr(turns, "versions", lambda: {"sleep": "1"})
    sides = fake(OURS, result=1), fake("peer", ("sleep",), result=2)
    with pytest.raises(SystemExit, match="void"):
        run_case(case_of(*sides), rounds=2)


def test_a_missing_peer_is_named(fake, capsys):
    """A peer that is not installed is named, on the screen and in what is kept."""
    record = run_case(case_of(fake(OURS), fake("peer", ("no-such-package",))), rounds=2)
    assert record["missing"] == ["peer"]
    assert record["ratio"] == {OURS: {}}
    assert "peer is not installed" in capsys.readouterr().out


def test_memory_is_counted_beyond_the_start(fake):
    """What a side takes while it works is in its peak, and what it had before is not."""
    record = run_case(case_of(fake(OURS, megabytes=300)), rounds=2)
    assert 280e6 < record["peak_bytes"][OURS] < 400e6


def test_long_results_are_compared_by_a_digest(fake, monkeypatch):
    """A long result is replaced by its digest, which differs when one element does."""
    monkeypatch.setattr(turns, "versions", lambda: {"sleep": "1"})
    long = [0] * 6000
    sides = fake(OURS, result=long), fake("peer", ("sleep",), result=[*long[:-1], 1])
    with pytest.raises(SystemExit, match="void"):
        run_case(case_of(*sides), rounds=2)
    assert run_case(case_of(sides[0], fake("peer", ("sleep",), result=long)), rounds=2)["agree"]


def test_few_rounds_and_unknown_names_are_refused():
    """Fewer than nine rounds, or a benchmark that does not exist, are refused before any work."""
    for arguments, words in ((["--rounds", "8"], "at least 9"), (["speed"], "expected names")):
        run = subprocess.run(
            [sys.executable, "-m", "benchmarks", *arguments],
            cwd=turns.RESULTS.parents[1], capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 2
        assert words in run.stderr


def test_every_benchmark_is_stored():
    """Each has its file, with command and machine; what takes turns took at least nine."""
    assert set(__main__.NAMES) == set(tables.NAMES)
    for name in tables.NAMES:
        record = read_results(name)
        assert record["benchmark"] == name
        assert record["command"].startswith(f"python -m benchmarks {name}")
        assert name == "project" or record["rounds"] >= 9
        assert name == "project" or set(turns.PEERS) <= set(record["versions"])
        assert {"date", "numpy", "processor", "load_before"} <= set(record["machine"])
        assert "/" not in record["command"]


@pytest.mark.parametrize(("name", "number", "case"), CASES, ids=lambda value: str(value)[:20])
def test_stored_figures_follow_from_the_stored_times(name, number, case):
    """Speeds and ratios are those of the stored seconds, all sides agreed, no peer is missing."""
    assert case["agree"]
    assert case["missing"] == []
    for side, seconds in case["seconds"].items():
        assert len(seconds) >= 9
        speeds = turns.quartiles([case["amount"] / s for s in seconds])
        assert case["speed"][side] == pytest.approx(speeds, rel=1e-3)
    for ours, peers in case["ratio"].items():
        for peer, ratio in peers.items():
            pairs = zip(case["seconds"][ours], case["seconds"][peer], strict=True)
            assert ratio == pytest.approx(turns.quartiles([b / a for a, b in pairs]), rel=1e-3)


def test_the_project_was_measured_whole():
    """Every command was run as often as it should be, and the page of every step was weighed."""
    record = read_results("project")
    times = {row["command"]: len(row["seconds"]) for row in record["commands"]}
    assert times == {command: count for command, (_, count) in project.COMMANDS.items()}
    assert all(min(row["seconds"]) > 2 for row in record["commands"])
    assert set(record["page_bytes"]) == {step.page.removesuffix(".md") for step in STEPS}
    assert "note" not in record


def test_a_changed_figure_shows(tmp_path, monkeypatch, capsys):
    """When a stored figure changes, what the page prints changes, and so the page's test is red."""
    tables.show_ratios("training")
    before = capsys.readouterr().out
    record = copy.deepcopy(read_results("training"))
    record["cases"][1]["ratio"][OURS]["PyTorch eager"]["lower_quartile"] += 0.01
    (tmp_path / "training.json").write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setattr(turns, "RESULTS", tmp_path)
    tables.show_ratios("training")
    assert capsys.readouterr().out != before


def test_a_claim_is_the_lower_quartile():
    """`claim` finds a comparison by the start of its case's name, and refuses one that is not."""
    case = read_results("training")["cases"][1]
    expected = case["ratio"][OURS]["PyTorch eager"]["lower_quartile"]
    assert tables.claim("training", case["case"], "PyTorch eager") == expected
    with pytest.raises(ValueError, match="no such|none"):
        tables.claim("training", case["case"], "JAX")
