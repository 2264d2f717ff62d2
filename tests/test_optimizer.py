"""AdamW, clipping and the schedule: by hand, against plain loops, and at every border."""

import itertools
import math

import numpy as np
import pytest
from small import generator, lock, nothing_may_be_written, small_batch, small_model

from literategpt.model import cross_entropy_loss
from literategpt.optimizer import AdamW, clip_gradients, cosine_schedule

# The schedule


def rates(**settings):
    """List the learning rates of all steps of a run."""
    return [cosine_schedule(s, **settings) for s in range(settings["total_steps"])]


def test_schedule_by_hand():
    """Two steps up, then half a cosine down to the minimum."""
    expected = [0.5, 1.0, 0.8535533906, 0.5, 0.1464466094, 0.0]
    np.testing.assert_allclose(rates(peak=1.0, warmup_steps=2, total_steps=6), expected, atol=1e-10)


def test_schedule_reaches_its_peak_and_minimum_exactly():
    """The peak stands at the last warm-up step and the minimum at the last step, to the bit."""
    for peak in (3e-4, 1e-3, 0.1, 0.7):
        for warmup in (0, 1, 2, 7, 105, 210, 299):
            values = rates(peak=peak, warmup_steps=warmup, total_steps=300, minimum=peak / 10)
            assert values[max(warmup - 1, 0)] == peak, (peak, warmup)
            assert max(values) == peak, (peak, warmup)
            assert values[-1] == peak / 10, (peak, warmup)
            assert (
                cosine_schedule(
                    9999, peak=peak, warmup_steps=warmup, total_steps=300, minimum=peak / 10
                )
                == peak / 10
            )


@pytest.mark.parametrize("warmup", [0, 1, 5, 20])
def test_schedule_is_above_zero_from_the_first_step(warmup):
    """No step but the last has a rate of 0, the first one least of all."""
    values = rates(peak=1e-3, warmup_steps=warmup, total_steps=20)
    assert min(values[:-1]) > 0
    assert values[0] == 1e-3 / max(warmup, 1)


def test_schedule_without_and_with_nothing_but_warm_up():
    """Neither divides by zero: the one falls from the peak, the other rises to it."""
    falling = rates(peak=1.0, warmup_steps=0, total_steps=5)
    assert falling[0] == 1
    assert falling == sorted(falling, reverse=True)
    rising = rates(peak=1.0, warmup_steps=5, total_steps=5)
    np.testing.assert_allclose(rising, [0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates(peak=1.0, warmup_steps=0, total_steps=1) == [1.0]
    assert rates(peak=1.0, warmup_steps=1, total_steps=1) == [1.0]


def test_schedule_rises_then_falls():
    """The rates rise strictly through the warm-up and fall strictly after it."""
    steps = np.diff(rates(peak=1.0, warmup_steps=10, total_steps=50, minimum=0.1))
    assert (steps[:9] > 0).all()
    assert (steps[9:] < 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": -1}, "step=-1"),
        ({"total_steps": 0, "warmup_steps": 0}, "total_steps=0"),
        ({"warmup_steps": 11}, "warmup_steps=11"),
        ({"warmup_steps": -1}, "warmup_steps=-1"),
        ({"minimum": 2.0}, "got 2.0 and 1.0"),
        ({"minimum": -1.0}, "got -1.0 and 1.0"),
        ({"peak": math.inf}, "inf"),
        ({"peak": math.nan}, "nan"),
    ],
)
def test_bad_schedules_are_refused(changes, message):
    """Numbers out of their range are refused with what was given."""
    settings = {"step": 0, "peak": 1.0, "warmup_steps": 2, "total_steps": 10} | changes
    with pytest.raises(ValueError, match=message):
        cosine_schedule(settings.pop("step"), **settings)


# Clipping


def test_clip_by_hand():
    """(3) and (4) are 5 long together; clipped to 1 they are (.6) and (.8), and 5 is returned."""
    gradients = {"a": np.array([3.0]), "b": np.array([[4.0]])}
    assert clip_gradients(gradients, 1.0) == 5
    np.testing.assert_allclose(gradients["a"], [0.6], rtol=1e-15)
    np.testing.assert_allclose(gradients["b"], [[0.8]], rtol=1e-15)


def test_clip_keeps_the_direction():
    """All tensors are shortened by one factor, so their proportions stay."""
    gradients = {"a": generator().normal(size=(3, 4)), "b": 100 * generator(1).normal(size=5)}
    before = {name: g.copy() for name, g in gradients.items()}
    norm = clip_gradients(gradients, 2.0)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, before[name] * (2 / norm), rtol=1e-14)
    assert abs(clip_gradients(gradients, math.inf) - 2) < 1e-12


@pytest.mark.parametrize("max_norm", [5.0, 5.1, math.inf])
def test_clip_leaves_short_gradients_alone(max_norm):
    """At or below the limit no bit changes."""
    gradients = {"a": np.array([3.0, 4.0])}
    assert clip_gradients(gradients, max_norm) == 5
    np.testing.assert_array_equal(gradients["a"], [3, 4])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_clip_refuses_gradients_that_are_not_finite(bad):
    """One bad number is refused by its tensor's name, and nothing is changed."""
    gradients = {"good": np.array([30.0, 40.0]), "bad": np.array([1.0, bad])}
    with pytest.raises(ValueError, match="finite gradients.* in bad"):
        clip_gradients(gradients, 1.0)
    np.testing.assert_array_equal(gradients["good"], [30, 40])
    np.testing.assert_array_equal(gradients["bad"], [1, bad])


@pytest.mark.parametrize("max_norm", [0, -1.0, math.nan])
def test_clip_refuses_a_bad_limit(max_norm):
    """A limit that is not above 0 is refused, and nothing is changed."""
    gradients = {"a": np.array([3.0])}
    with pytest.raises(ValueError, match="max_norm above 0"):
        clip_gradients(gradients, max_norm)
    np.testing.assert_array_equal(gradients["a"], [3])


def test_clip_of_huge_gradients():
    """Gradients whose squares overflow float32 are finite, and are clipped like any other."""
    gradients = {"a": np.array([3e25, 4e25], "float32")}
    assert abs(clip_gradients(gradients, 1.0) / 5e25 - 1) < 1e-6
    np.testing.assert_allclose(gradients["a"], [0.6, 0.8], rtol=1e-6)


# AdamW


def test_first_step_by_hand():
    """Gradients of 100, 1 and 0.01 all move their parameter by the learning rate, 0.001."""
    weights = {"w": np.zeros(3)}
    AdamW(weights, learning_rate=0.001).step({"w": np.array([100.0, 1.0, 0.01])})
    np.testing.assert_allclose(weights["w"], [-0.001] * 3, rtol=2e-6)


def test_defaults():
    """Unless told otherwise: rate 1e-3, betas 0.9 and 0.95, eps 1e-8, weight decay 0.1."""
    ours, given = {"w": np.ones((2, 2))}, {"w": np.ones((2, 2))}
    optimizers = [
        AdamW(ours),
        AdamW(given, learning_rate=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1),
    ]
    for optimizer, seed in itertools.product(optimizers, range(3)):
        optimizer.step({"w": 1e-8 * generator(seed).normal(size=(2, 2))})
    np.testing.assert_array_equal(ours["w"], given["w"])


def plain_adamw(values, gradients, ndim, *, rate, beta1, beta2, eps, decay):
    """Follow one number through all steps with the formulas of the paper."""
    value, mean, square = values, 0.0, 0.0
    for t, gradient in enumerate(gradients, start=1):
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * gradient**2
        corrected, spread = mean / (1 - beta1**t), math.sqrt(square / (1 - beta2**t))
        pull = rate * decay * value if ndim >= 2 else 0.0
        value = value - pull - rate * corrected / (spread + eps)
    return value


@pytest.mark.parametrize("betas", [(0.9, 0.95), (0.9, 0.999), (0.0, 0.5)])
@pytest.mark.parametrize("eps", [1e-8, 0.1])
def test_steps_against_a_plain_loop(betas, eps):
    """Over eight steps every number of a matrix and of a vector follows the paper's formulas."""
    rng = generator()
    start = {"matrix": rng.normal(size=(2, 3)), "vector": rng.normal(size=3)}
    weights = {name: array.copy() for name, array in start.items()}
    steps = [{n: rng.normal(size=a.shape) for n, a in start.items()} for _ in range(8)]
    optimizer = AdamW(weights, learning_rate=0.1, betas=betas, eps=eps, weight_decay=0.2)
    for gradients in steps:
        optimizer.step(gradients)
    for name, array in start.items():
        for index in np.ndindex(array.shape):
            expected = plain_adamw(
                array[index], [g[name][index] for g in steps], array.ndim,
                rate=0.1, beta1=betas[0], beta2=betas[1], eps=eps, decay=0.2,
            )  # fmt: skip
            assert abs(weights[name][index] - expected) < 1e-13, (name, index)


def test_decay_is_decoupled_and_for_matrices_only():
    """With zero gradients a matrix shrinks by rate times decay, a bias or gain not at all."""
    weights = {"matrix": np.ones((2, 2)), "vector": np.ones(2)}
    optimizer = AdamW(weights, learning_rate=0.1, weight_decay=0.5)
    for _ in range(3):
        optimizer.step({name: np.zeros_like(w) for name, w in weights.items()})
    np.testing.assert_allclose(weights["matrix"], np.full((2, 2), 0.95**3), rtol=1e-14)
    np.testing.assert_array_equal(weights["vector"], [1, 1])


def test_decay_does_not_pass_through_the_moments():
    """The first step of a decayed weight is the decay plus the undecayed step."""
    decayed, plain = {"w": np.full((1, 1), 3.0)}, {"w": np.full((1, 1), 3.0)}
    AdamW(decayed, learning_rate=0.1, weight_decay=0.5).step({"w": np.ones((1, 1))})
    AdamW(plain, learning_rate=0.1, weight_decay=0.0).step({"w": np.ones((1, 1))})
    assert abs((plain["w"] - decayed["w"]).item() - 0.1 * 0.5 * 3) < 1e-14


def test_a_tied_head_is_decayed_once():
    """The shared table appears once, and shrinks once a step."""
    model = small_model()
    table = model.token_embedding.weight
    before = table.copy()
    parameters = model.trainable_parameters()
    assert sum(array is table for array in parameters.values()) == 1
    optimizer = AdamW(parameters, learning_rate=0.1, weight_decay=0.5)
    optimizer.step({name: np.zeros_like(a) for name, a in parameters.items()})
    np.testing.assert_allclose(table, 0.95 * before, rtol=1e-14)


def test_a_constant_factor_on_all_gradients_changes_nothing():
    """The step is measured by the gradient's own size, so a common factor cancels."""
    results = []
    for factor in (1.0, 1000.0):
        weights = {"w": np.ones((2, 3))}
        optimizer = AdamW(weights, eps=1e-15)
        for seed in range(4):
            optimizer.step({"w": factor * generator(seed).normal(size=(2, 3))})
        results.append(weights["w"])
    np.testing.assert_allclose(*results, rtol=1e-12)


def test_parameters_are_changed_in_place_and_gradients_are_not():
    """Whoever holds the array holds the model; the gradients are only read."""
    model, (tokens, targets) = small_model(), small_batch()
    parameters = model.trainable_parameters()
    held = {name: (id(a), a.copy()) for name, a in parameters.items()}
    logits, saved = model.forward(tokens)
    gradients = model.backward(cross_entropy_loss(logits, targets)[1], saved)
    lock(gradients)
    with nothing_may_be_written():
        AdamW(parameters).step(gradients)
    for name, array in model.named_parameters().items():
        assert id(array) == held[name][0], name
        assert (array != held[name][1]).any(), name


def test_frozen_parameters_do_not_move():
    """An optimizer of the trainable parameters leaves the frozen ones alone, decay included."""
    model, (tokens, targets) = small_model(), small_batch()
    model.blocks[0].freeze()
    before = {n: a.copy() for n, a in model.blocks[0].named_parameters().items()}
    logits, saved = model.forward(tokens)
    gradients = model.backward(cross_entropy_loss(logits, targets)[1], saved)
    AdamW(model.trainable_parameters(), learning_rate=0.1).step(gradients)
    for name, array in model.blocks[0].named_parameters().items():
        np.testing.assert_array_equal(array, before[name])


def test_the_step_s_learning_rate_replaces_the_constructor_s():
    """A rate given to the step is used for it, for the decay too, and not kept."""
    one, other = {"w": np.ones((2, 2))}, {"w": np.ones((2, 2))}
    first, second = AdamW(one, learning_rate=0.1), AdamW(other, learning_rate=9.0)
    for _ in range(2):
        first.step({"w": np.ones((2, 2))})
        second.step({"w": np.ones((2, 2))}, learning_rate=0.1)
    np.testing.assert_array_equal(one["w"], other["w"])
    assert second.learning_rate == 9


def test_state_continues_to_the_bit():
    """A new optimizer that takes over state and parameters goes on as the old one would have."""

    def gradients(step):
        return {"w": generator(step).normal(size=(2, 3)).astype("float32")}

    weights = {"w": np.ones((2, 3), "float32")}
    old = AdamW(weights)
    for step in range(3):
        old.step(gradients(step))
    state, copy = old.state(), {"w": weights["w"].copy()}
    new = AdamW(copy)
    new.restore(state)
    for step in range(3, 6):
        old.step(gradients(step))
        new.step(gradients(step))
    assert copy["w"].tobytes() == weights["w"].tobytes()
    assert state["step_count"] == 3
    assert (state["first_moment"]["w"] != old.first_moment["w"]).any()


def test_float32_stays_float32():
    """Parameters and moments keep their dtype through a step, whatever the settings' types."""
    weights = {"w": np.ones((2, 2), "float32")}
    optimizer = AdamW(weights, learning_rate=np.float64(0.1))
    optimizer.step({"w": np.ones((2, 2), "float32")}, learning_rate=np.float64(0.1))
    arrays = [weights["w"], optimizer.first_moment["w"], optimizer.second_moment["w"]]
    assert {array.dtype.name for array in arrays} == {"float32"}


def test_a_parameter_without_a_slope_rests():
    """Where every gradient was 0 the step is 0, not 0 / 0."""
    weights = {"w": np.array([1.0, 1.0])}
    AdamW(weights, learning_rate=0.1).step({"w": np.array([0.0, 1.0])})
    np.testing.assert_allclose(weights["w"], [1.0, 0.9], rtol=1e-7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"betas": (0.9, 1.0)}, r"betas in \[0, 1\), got \(0.9, 1.0\)"),
        ({"betas": (-0.1, 0.9)}, "got .-0.1"),
        ({"learning_rate": -1.0}, "learning_rate of 0 or above, got -1.0"),
        ({"learning_rate": math.nan}, "learning_rate.*got nan"),
        ({"eps": 0.0}, "eps above 0, got 0.0"),
        ({"weight_decay": math.inf}, "weight_decay.*got inf"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    """Numbers out of their range are refused with their name."""
    with pytest.raises(ValueError, match=message):
        AdamW({"w": np.zeros(2)}, **settings)


@pytest.mark.parametrize("rate", [math.nan, math.inf, -0.1])
def test_bad_learning_rate_of_a_step_is_refused(rate):
    """A rate that is no rate is refused before any parameter moves."""
    weights = {"w": np.ones((2, 2))}
    optimizer = AdamW(weights)
    with pytest.raises(ValueError, match="learning_rate"):
        optimizer.step({"w": np.ones((2, 2))}, learning_rate=rate)
    np.testing.assert_array_equal(weights["w"], np.ones((2, 2)))
    assert optimizer.step_count == 0


@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        ({"a": np.ones(2)}, "a gradient for b, got none"),
        ({"a": np.ones(2), "b": np.ones(2), "c": np.ones(2)}, "no gradient for c, got one"),
        ({"a": np.ones(2), "b": np.ones((2, 1))}, r"\(2,\) for b, got \(2, 1\)"),
    ],
)
def test_gradients_that_do_not_fit_are_refused(gradients, message):
    """Missing, surplus and misshapen gradients are refused, and nothing has moved."""
    weights = {"a": np.ones(2), "b": np.ones(2)}
    optimizer = AdamW(weights)
    with pytest.raises(ValueError, match=message):
        optimizer.step(gradients)
    assert optimizer.step_count == 0
    for name, array in weights.items():
        np.testing.assert_array_equal(array, np.ones(2))
        assert not optimizer.first_moment[name].any()


def test_a_state_that_does_not_fit_is_refused():
    """The state of other parameters is refused, and the old one is kept."""
    optimizer, other = AdamW({"a": np.ones(2)}), AdamW({"a": np.ones(3)})
    optimizer.step({"a": np.ones(2)})
    before = optimizer.state()
    with pytest.raises(ValueError, match=r"first moment of shape \(2,\) for a, got \(3,\)"):
        optimizer.restore(other.state())
    assert optimizer.step_count == before["step_count"]
    np.testing.assert_array_equal(optimizer.first_moment["a"], before["first_moment"]["a"])
