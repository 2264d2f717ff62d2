"""The recorded runs: read, put together, compared with; and how much the texts share."""

import csv
import importlib.util
import json
from pathlib import Path

import pytest

from experiments import losses, overlap
from experiments.tables import read_table
from literategpt.runs import LOG_COLUMNS
from literategpt.train_pretrain import PRESETS

ROOT = Path(__file__).resolve().parent.parent
TARGETS, CHARACTERS = 300, 900


def write_run(directory, preset, seed, training, validation, **changes):
    """Write the log and the record of a run; `validation` holds losses by the number of steps."""
    with (directory / f"{preset}-seed{seed}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(LOG_COLUMNS)
        for step, loss in enumerate(training):
            measured = validation.get(step + 1, "")
            writer.writerow([step, 0.5 * (step + 1), loss, measured, 0.001, 1.0])
    final = validation[len(training)]
    record = {
        "preset": preset, "plan": {"seed": seed}, "parameters": 1000, "vocabulary_size": 50,
        "steps": len(training), "tokens_per_step": 20, "training_tokens": 100,
        "validation_characters": CHARACTERS, "validation_tokens": TARGETS + 1,
        "validation_loss": final, "nats_per_character": final * TARGETS / CHARACTERS,
        "training_loss": training[-1], "seconds": 0.5 * len(training),
    }  # fmt: skip
    path = directory / f"{preset}-seed{seed}.json"
    path.write_text(json.dumps(record | changes), encoding="utf-8")


def falling(steps, end, start=4.0):
    """Make losses that fall in a straight line."""
    return [start + (end - start) * step / (steps - 1) for step in range(steps)]


@pytest.fixture
def runs(tmp_path):
    """Read three seeds of one preset and one of another, written in another order."""
    write_run(tmp_path, "small", 2, falling(100, 2.0), {50: 3.3, 100: 2.7})
    write_run(tmp_path, "small", 0, falling(100, 2.2), {50: 3.0, 100: 2.4})
    write_run(tmp_path, "small", 1, falling(100, 2.1), {50: 3.6, 100: 3.0})
    write_run(tmp_path, "large", 0, falling(400, 1.0), {400: 1.8})
    return losses.read_runs(tmp_path)


def test_runs_are_read_in_order(runs):
    """Runs come by preset and seed, with their rows as numbers and empty cells as None."""
    assert [(run.preset, run.seed) for run in runs] == [
        ("large", 0), ("small", 0), ("small", 1), ("small", 2)
    ]  # fmt: skip
    assert runs[1].log[48]["validation_loss"] is None
    assert runs[1].log[49]["validation_loss"] == 3.0


def test_a_record_under_a_wrong_name_is_refused(tmp_path):
    """A record whose seed or preset is not that of its file is refused, with both named."""
    write_run(tmp_path, "small", 0, falling(10, 2.0), {10: 2.0}, plan={"seed": 3})
    with pytest.raises(ValueError, match="expected small, seed 3 in small-seed3, got .*seed0"):
        losses.read_runs(tmp_path)


def test_summary_covers_the_seeds(runs):
    """A summary holds the lowest, mean and highest loss per character, and the mean cost."""
    row = losses.summary("small", runs)
    third = TARGETS / CHARACTERS
    assert [row[key] for key in ("lowest", "mean", "highest")] == pytest.approx(
        [2.4 * third, 2.7 * third, 3.0 * third]
    )
    assert (row["seeds"], row["steps"], row["seconds"]) == (3, 100, 50.0)
    assert row["readings"] == pytest.approx(100 * 20 / 100)
    assert row["validation_loss"] == pytest.approx(2.7)
    assert row["training_loss"] == pytest.approx(2.1)


def test_unknown_presets_are_named(runs):
    """Asking for a preset without a recorded run names those that have one."""
    with pytest.raises(ValueError, match=r"one of \['large', 'small'\], got 'tiny'"):
        losses.summary("tiny", runs)


def test_a_curve_holds_what_was_measured(runs):
    """A curve has a point for each evaluation, counted in steps done, in nats per character."""
    curve = losses.curve(runs[1])
    assert (curve.seed, curve.steps, curve.seconds) == (0, [50, 100], [25.0, 50.0])
    assert curve.nats_per_character == pytest.approx([1.0, 0.8])


def test_the_last_point_of_a_curve_is_the_result(runs):
    """The end of the log and the record agree on the loss per character."""
    for run in runs:
        end = losses.curve(run).nats_per_character[-1]
        assert end == pytest.approx(run.record["nats_per_character"])


def test_smoothing_looks_back_only():
    """The smoothed loss is the mean of the last tenth of the steps done, never of later ones."""
    log = [{"training_loss": float(step)} for step in range(1000)]
    assert losses.smoothed(log, 1) == 0
    assert losses.smoothed(log, 100) == pytest.approx(sum(range(90, 100)) / 10)
    assert losses.smoothed(log, 1000) == pytest.approx(sum(range(950, 1000)) / 50)


def test_milestones_span_the_seeds(runs):
    """Milestones go up to the last step, each with the spread over the seeds."""
    found = dict(losses.milestones("small", runs))
    assert list(found) == [1, 10, 20, 50, 100]
    assert found[1] == (4.0, 4.0, 4.0)
    lowest, mean, highest = found[100]
    ends = [losses.smoothed(run.log, 100) for run in losses.runs_of("small", runs)]
    assert (lowest, highest) == (min(ends), max(ends))
    assert mean == pytest.approx(sum(ends) / 3)
    assert lowest < highest


def test_comparison_ends_with_your_log(runs):
    """A log that stopped early is compared as far as it goes, against the mean of the seeds."""
    rows = losses.compare(runs[2].log[:30], "small", runs)
    assert [row["steps"] for row in rows] == [1, 10, 20]
    assert rows[-1]["difference"] == pytest.approx(0, abs=1e-9), "seed 1 is the mean of the three"
    shifted = [{"training_loss": row["training_loss"] + 0.5} for row in runs[2].log]
    assert losses.compare(shifted, "small", runs)[3]["difference"] == pytest.approx(0.5)


def test_tables_say_what_the_rows_say(runs):
    """The tables of text name each preset, and leave the cells of a shorter run empty."""
    table = losses.describe_summaries(["small", "large"], runs).split("\n")
    assert table[2].split() == ["small", "1,000", "50", "100", "50", "0.800", "0.900", "1.000", "3"]
    steps = losses.describe_milestones(["small", "large"], runs).split("\n")
    assert steps[0].split() == ["steps", "small", "large"]
    assert steps[1].split() == ["1", "4.00", "4.00"]
    assert steps[-1].split()[0] == "400"
    assert len(steps[-1].split()) == 2


def test_the_command_compares_a_log(runs, tmp_path, capsys):
    """The command prints a row for each milestone; an unknown preset is an error in one line."""
    mine = tmp_path / "mine.csv"
    mine.write_bytes((tmp_path / "small-seed1.csv").read_bytes())
    options = [str(mine), "--recipes", str(tmp_path)]
    assert losses.main(["small", *options]) == 0
    assert capsys.readouterr().out.split("\n")[2].split() == ["1", "4.00", "4.00", "+0.00"]
    assert losses.main(["gone", *options]) == 1
    assert "expected a preset with a recorded run" in capsys.readouterr().err


@pytest.fixture
def figures(runs, monkeypatch):
    """Load the figures of the page, and give them the runs of this file."""
    path = ROOT / "docs" / "figures" / "losses.py"
    spec = importlib.util.spec_from_file_location("figures_of_losses", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "read_runs", lambda: runs)
    return module


def test_a_figure_has_a_line_for_each_seed(figures):
    """The chart of results draws every seed of every preset, in the dashes of its legend."""
    picture = str(figures.draw_results(("small", "large"), "plays", (0.5, 2.2), {"other": 0.9}))
    thick = 'stroke-width="1.6"'
    assert picture.count(thick) == 4
    assert picture.count(f'{thick} stroke-dasharray="7 4"') == 1
    for name in (">small<", ">large<", "0.90 other", "1.64 6 characters", "2.03 3 characters"):
        assert name in picture
    assert "5 characters" not in picture, "too close to a better rung"
    assert "7 characters" not in picture, "above the best rung"


def test_a_preset_without_a_record_is_left_out(figures, tmp_path, monkeypatch):
    """The chart of Tiny Shakespeare has the presets that are recorded, and names no other."""
    write_run(tmp_path, "tiny-10min", 0, falling(50, 2.2), {25: 5.0, 50: 4.5})
    monkeypatch.setattr(figures, "read_runs", lambda: losses.read_runs(tmp_path))
    picture = str(figures.tiny())
    assert ">tiny-10min<" in picture
    assert "tiny-fast" not in picture
    assert "tiny-60min" not in picture


def test_a_chart_is_logarithmic(figures):
    """Equal ratios are equal distances, and what is too high stays inside."""
    frame = figures.Frame(x=(1, 100), y=(0.0, 1.0))
    left, middle, right = (frame.at(x, 0.5)[0] for x in (1, 10, 100))
    assert middle - left == pytest.approx(right - middle)
    assert frame.at(1, 5.0) == frame.at(1, 1.0)


def test_shared_lines_are_counted_whole():
    """Only whole lines of at least 20 characters count, each as often as it occurs."""
    line, other = "What, is the old king dead?", "Here is no such line at all."
    text = f"{line}\nMy lord?\n{other}\n{line}"
    assert overlap.count_shared(text, f"My lord?\n{line}\n") == (3, 2)
    assert overlap.count_shared(text, f"He asks: {line}") == (3, 0)


def test_recorded_overlap_is_complete():
    """Every validation line of Tiny Shakespeare stands in the plays, most in the training plays."""
    rows = read_table("overlap_tiny_shakespeare")
    found = {(row["part"], row["plays"]): row for row in rows}
    judged = [found["validation", plays] for plays in ("train", "validation")]
    assert sum(row["shared"] for row in judged) == judged[0]["lines"]
    assert judged[0]["share"] > 0.5
    assert found["train", "validation"]["shared"] == 0


def test_every_preset_is_recorded():
    """Each preset of the training script has recorded runs, and their logs end in their result."""
    runs = losses.read_runs()
    for run in runs:
        assert len(run.log) == run.record["steps"]
        assert run.record["unknown_tokens"] == 0
        end = losses.curve(run)
        assert end.steps[-1] == run.record["steps"]
        assert end.nats_per_character[-1] == pytest.approx(
            run.record["nats_per_character"], abs=1e-5
        )
    missing = set(PRESETS) - {run.preset for run in runs}
    if missing:
        pytest.skip(f"not recorded yet: {', '.join(sorted(missing))}")
