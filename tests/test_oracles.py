"""PyTorch as a second judge: values, gradients and whole runs equal its stored results.

The files in `tests/oracles` were made by `make_oracles.py`; PyTorch is not needed here.
The second half plants classic bugs, one at a time, and shows that each is seen.
"""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from oracles import ours
from oracles.given import Arrays, under
from oracles.ours import RUN, Deviation, deviation

from literategpt import activations, attention, layers, lora, model, optimizer, sampling, training

FOLDER = Path(__file__).parent / "oracles"

# The largest differences measured are ten to a thousand times smaller; they come from rounding.
TOLERANCES = {
    "activations": 1e-13,
    "layers": 1e-11,  # vectors near 1000 lose three digits to their mean, here and there
    "layers_float32": 1e-3,  # the same
    "attention": 1e-13,
    "loss": 1e-13,
    "sampling": 1e-13,
    "optimizer": 1e-13,
    "schedule": 1e-13,
    "model_tied": 1e-12,
    "model_untied": 1e-12,
    "training": 1e-10,  # twenty steps, each of which divides noise by small numbers
    "lora": 1e-11,
}


@functools.cache
def read_oracle(name: str) -> Arrays:
    """Read one file."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def compare(name: str) -> Deviation:
    """Compute from what was given, and compare with what PyTorch computed."""
    oracle = read_oracle(name)
    results = RUN[name.partition("_")[0]](under("given", oracle))
    return deviation(results, under("expected", oracle))


@pytest.mark.parametrize("name", TOLERANCES)
def test_equals_pytorch(name):
    """Every value and every gradient equals that of PyTorch, to rounding."""
    found = compare(name)
    assert found.size < TOLERANCES[name], f"differs from PyTorch by {found}"


def test_every_oracle_is_compared():
    """Each stored file has a tolerance, each subject a file, and each file its versions."""
    assert {path.stem for path in FOLDER.glob("*.npz")} == TOLERANCES.keys()
    assert {name.partition("_")[0] for name in TOLERANCES} == RUN.keys()
    for name in TOLERANCES:
        made_with = json.loads(str(read_oracle(name)["made_with"]))
        assert made_with.keys() == {"torch", "numpy", "python", "machine", "date"}
        assert made_with["torch"].startswith("2.13.0")


def test_the_oracles_are_small():
    """All files together stay below 250 KB."""
    assert sum(path.stat().st_size for path in FOLDER.glob("*.npz")) < 250_000


def test_the_cases_are_not_trivial():
    """Steps are clipped and not clipped, places ignored, values dropped, tokens repeated."""
    for name in ("optimizer", "training"):
        norms = read_oracle(name)["expected/norms"]
        limit = json.loads(str(read_oracle(name)["given/settings"]))["max_norm"]
        assert norms.min() < limit < norms.max()
    for name in ("model_tied", "model_untied"):
        oracle = read_oracle(name)
        assert (oracle["given/targets"] == oracle["given/ignore_index"]).any()
        assert len(np.unique(oracle["given/tokens"])) < oracle["given/tokens"].size
    masks = under("given/masks", read_oracle("model_untied"))
    assert len(masks) == 5
    assert all((mask == 0).any() and (mask == 1.25).any() for mask in masks.values())


def norm_forward(self, x, *, rng=None, variance=np.var, eps_in_root=True):
    """LayerNorm's forward pass, with room for mistakes."""
    spread = variance(x)[..., None]
    eps = self.eps
    inverse = 1 / np.sqrt(spread + eps) if eps_in_root else 1 / (np.sqrt(spread) + eps)
    normalized = (x - x.mean(-1, keepdims=True)) * inverse
    return normalized * self.weight + self.bias, layers.LayerNormSaved(normalized, inverse)


def eps_outside_the_root(patch):
    """Add LayerNorm's epsilon after the root."""
    forward = functools.partialmethod(norm_forward, variance=lambda x: x.var(-1), eps_in_root=False)
    patch.setattr(layers.LayerNorm, "forward", forward)


def unbiased_variance(patch):
    """Divide LayerNorm's variance by C - 1."""
    forward = functools.partialmethod(norm_forward, variance=lambda x: x.var(-1, ddof=1))
    patch.setattr(layers.LayerNorm, "forward", forward)


def one_pass_variance(patch):
    """Take the mean of the squares less the square of the mean."""

    def variance(x):
        return np.maximum((x * x).mean(-1) - x.mean(-1) ** 2, 0)

    forward = functools.partialmethod(norm_forward, variance=variance)
    patch.setattr(layers.LayerNorm, "forward", forward)


def gelu_of_the_error_function(patch):
    """Use the definition of GELU in place of its tanh form."""
    erf = np.vectorize(activations.math.erf)
    patch.setattr(activations, "gelu", lambda x: x * 0.5 * (1 + erf(x / np.sqrt(2))))


def last_repeat_wins(patch):
    """Keep only the last gradient of a token that occurs twice."""

    def backward(self, grad_output, saved):
        grad = np.zeros_like(self.weight)
        grad[saved.ids] += grad_output
        return None, {"weight": grad}

    patch.setattr(layers.Embedding, "backward", backward)


def cosine_of_another_exponent(patch):
    """Give each column its own exponent, i/d in place of 2i/d."""

    def table(length, size):
        angles = np.arange(length)[:, None] / 10000.0 ** (np.arange(size) / size)
        return np.where(np.arange(size) % 2 == 0, np.sin(angles), np.cos(angles))

    patch.setattr(layers, "sinusoid_table", table)


def no_scale(patch):
    """Leave out the division by the root of the head dimension."""
    right = attention.scaled_dot_product_attention

    def wrong(query, key, value, mask=None):
        return right(query * activations.math.sqrt(query.shape[-1]), key, value, mask)

    patch.setattr(attention, "scaled_dot_product_attention", wrong)


def mask_aligned_at_the_start(patch):
    """Let the first query be at the first key."""
    patch.setattr(attention, "create_causal_mask", lambda t, s=None: np.tri(t, s or t, dtype=bool))


def heads_without_transpose(patch):
    """Reshape to (B, H, T, D) at once."""

    def split(x, num_heads):
        batch, time, channels = x.shape
        return x.reshape(batch, num_heads, time, channels // num_heads)

    patch.setattr(attention, "split_heads", split)


def padding_counts(patch):
    """Divide by all places, also by those that are ignored."""
    right = model.cross_entropy_loss

    def wrong(logits, targets, ignore_index=None, denominator=None):
        return right(logits, targets, ignore_index, denominator or targets.size)

    patch.setattr(ours, "cross_entropy_loss", wrong)


def one_of_two_tied_contributions(patch):
    """Forget that a tied table is used a second time, by the embedding."""
    patch.setattr(model, "add_gradients", lambda first, second: second | first)


def dropout_without_scaling(patch):
    """Do not enlarge the values that stay."""

    def forward(self, x, *, rng=None):
        if rng is None or self.rate == 0:
            return x, layers.DropoutSaved(None)
        mask = (rng.random(x.shape, dtype=np.float32) >= self.rate).astype(x.dtype)
        return x * mask, layers.DropoutSaved(mask)

    patch.setattr(layers.Dropout, "forward", forward)


def pieces_weigh_equally(patch):
    """Give each piece its own mean, whatever its number of targets."""
    right = training.cross_entropy_loss

    def wrong(logits, targets, ignore_index, denominator):
        loss, grad = right(logits, targets, ignore_index)
        return loss / 2, grad / 2

    patch.setattr(training, "cross_entropy_loss", wrong)


def clip_each_tensor(patch):
    """Clip every tensor by its own norm."""
    right = optimizer.clip_gradients

    def wrong(gradients, max_norm):
        norms = [right({name: gradient}, max_norm) for name, gradient in gradients.items()]
        return float(np.linalg.norm(norms))

    patch.setattr(optimizer, "clip_gradients", wrong)
    patch.setattr(training, "clip_gradients", wrong)


def decay_everything(patch):
    """Let biases and gains decay too."""
    right = optimizer.AdamW._update

    def wrong(self, name, parameter, gradient, rate):
        if parameter.ndim < 2:
            parameter *= 1 - rate * self.weight_decay
        right(self, name, parameter, gradient, rate)

    patch.setattr(optimizer.AdamW, "_update", wrong)


def coupled_decay(patch):
    """Add the decay to the gradient, as Adam with L2 does."""
    right = optimizer.AdamW._update

    def wrong(self, name, parameter, gradient, rate):
        decay, self.weight_decay = self.weight_decay, 0.0
        added = decay * parameter if parameter.ndim >= 2 else 0.0
        right(self, name, parameter, gradient + added, rate)
        self.weight_decay = decay

    patch.setattr(optimizer.AdamW, "_update", wrong)


def no_bias_correction(patch):
    """Treat every step as a late one."""
    right = optimizer.AdamW._update

    def wrong(self, name, parameter, gradient, rate):
        count, self.step_count = self.step_count, 10**6
        right(self, name, parameter, gradient, rate)
        self.step_count = count

    patch.setattr(optimizer.AdamW, "_update", wrong)


def schedule_late_by_one(patch):
    """Start the warm-up a step late."""
    right = optimizer.cosine_schedule
    for module in (optimizer, training):
        patch.setattr(module, "cosine_schedule", lambda step, **k: right(max(step - 1, 0), **k))


def lora_without_alpha(patch):
    """Leave out alpha / r."""
    patch.setattr(lora.LoRALinear, "factor", 1.0)


def top_p_without_the_crossing_token(patch):
    """Drop the token that crosses p."""
    right = sampling.top_p_filter

    def wrong(logits, p):
        kept = right(logits, p)
        smallest = np.where(np.isinf(kept), np.inf, kept).argmin(-1)
        several = np.isfinite(kept).sum(-1) > 1
        kept[several, smallest[several]] = -np.inf
        return kept

    patch.setattr(sampling, "top_p_filter", wrong)


PLANTED = [
    (eps_outside_the_root, "layers"),
    (eps_outside_the_root, "model_tied"),
    (unbiased_variance, "layers"),
    (one_pass_variance, "layers_float32"),
    (gelu_of_the_error_function, "activations"),
    (last_repeat_wins, "layers"),
    (last_repeat_wins, "model_tied"),
    (cosine_of_another_exponent, "layers"),
    (no_scale, "attention"),
    (no_scale, "model_tied"),
    (mask_aligned_at_the_start, "attention"),
    (heads_without_transpose, "model_tied"),
    (padding_counts, "loss"),
    (one_of_two_tied_contributions, "model_tied"),
    (dropout_without_scaling, "model_untied"),
    (pieces_weigh_equally, "training"),
    (clip_each_tensor, "optimizer"),
    (clip_each_tensor, "training"),
    (decay_everything, "optimizer"),
    (decay_everything, "training"),
    (coupled_decay, "optimizer"),
    (no_bias_correction, "optimizer"),
    (schedule_late_by_one, "schedule"),
    (schedule_late_by_one, "training"),
    (lora_without_alpha, "lora"),
    (top_p_without_the_crossing_token, "sampling"),
]


@pytest.mark.parametrize(("plant", "name"), PLANTED, ids=lambda v: getattr(v, "__name__", v))
def test_sees_a_planted_bug(plant, name, monkeypatch):
    """A classic bug differs from PyTorch by at least ten times the tolerance."""
    plant(monkeypatch)
    found = compare(name)
    assert found.size > 10 * TOLERANCES[name], f"{plant.__name__} is not seen: {found}"
