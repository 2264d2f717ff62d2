"""No hidden state, nothing lent is changed, and float32 stays float32 in every array on the way."""

import concurrent.futures
import itertools
import sys
import traceback

import numpy as np
import pytest
from small import (
    assert_same_bits,
    generator,
    lock,
    nothing_may_be_written,
    small_batch,
    small_model,
    walk,
)

from literategpt import (
    activations,
    attention,
    layers,
    model,
    optimizer,
    transformer,
)
from literategpt.layers import Dropout, LayerNorm, Linear
from literategpt.model import GPTModel, cross_entropy_loss
from literategpt.optimizer import AdamW, clip_gradients
from literategpt.transformer import TransformerBlock

KINDS = [
    {"tie_weights": tied, "positional_encoding": positions, "dropout": dropout}
    for tied, positions, dropout in itertools.product(
        (True, False), ("sinusoidal", "learned"), (0.0, 0.3)
    )
]


def one_pass(gpt, tokens, targets, seed=3, make_generator=generator):
    """Run forward, loss and backward, and return all that was made."""
    logits, saved = gpt.forward(tokens, rng=make_generator(seed))
    loss, grad_logits = cross_entropy_loss(logits, targets, ignore_index=-1)
    return logits, saved, loss, grad_logits, gpt.backward(grad_logits, saved)


# Nothing that was lent is changed


def test_forward_loss_and_backward_change_nothing():
    """With tokens, parameters, saved values and upstream locked, every kind of model passes."""
    for kind in KINDS:
        gpt, (tokens, targets) = small_model(**kind), small_batch()
        targets[0, 0] = -1
        lock(gpt, tokens, targets)
        with nothing_may_be_written():
            logits, saved = gpt.forward(tokens, rng=generator())
            lock(logits, saved)
            _, grad_logits = cross_entropy_loss(logits, targets, -1)
            lock(grad_logits)
            gpt.backward(grad_logits, saved)
            gpt(tokens)


def test_the_lock_reaches_every_array():
    """The walk through saved finds the arrays of each layer, and locking one stops a write."""
    gpt, (tokens, _) = small_model(dropout=0.3, positional_encoding="learned"), small_batch()
    _, saved = gpt.forward(tokens, rng=generator())
    paths = dict(walk(saved))
    for path in (
        ".tokens.ids", ".positions.ids", ".dropout.mask", ".blocks[1].input",
        ".blocks[0].attention_norm.normalized", ".blocks[0].attention_norm.inverse_std",
        ".blocks[1].attention.input.input", ".blocks[1].attention.weights",
        ".blocks[1].attention.output.input", ".blocks[0].attention_dropout.mask",
        ".blocks[0].feed_forward.expand.input", ".blocks[0].feed_forward.hidden",
        ".blocks[0].feed_forward.gate", ".blocks[0].feed_forward.contract.input",
        ".final_norm.normalized", ".head.input",
    ):  # fmt: skip
        assert path in paths
    lock(gpt, saved)
    for _, array in itertools.chain(walk(saved), walk(gpt)):
        with pytest.raises(AssertionError, match="changed in place"), nothing_may_be_written():
            array += 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: "-".join(map(str, k.values())))
def test_backward_twice_gives_the_same_bits(kind):
    """What was saved can be used again: the second gradients equal the first."""
    gpt, (tokens, targets) = small_model(**kind), small_batch()
    _, saved, _, grad_logits, first = one_pass(gpt, tokens, targets)
    assert_same_bits(gpt.backward(grad_logits, saved), first)


# No state between calls


def state_of(module):
    """Describe every attribute of a module and of those inside it, arrays by their bits."""
    state = {}
    for name, value in vars(module).items():
        if isinstance(value, np.ndarray):
            state[name] = (id(value), value.tobytes())
        elif isinstance(value, list):
            state[name] = id(value)
        else:
            state[name] = (id(value), repr(value)) if value is not None else None
    for name, child in module.children():
        state |= {f"{name}.{key}": item for key, item in state_of(child).items()}
    return state


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: "-".join(map(str, k.values())))
def test_no_attribute_changes(kind):
    """Forward, backward, evaluation and generation leave every attribute of every module alone."""
    gpt, (tokens, targets) = small_model(**kind), small_batch()
    before = state_of(gpt)
    one_pass(gpt, tokens, targets)
    gpt(tokens)
    gpt.generate(tokens, 5, temperature=0)
    assert state_of(gpt) == before


def test_a_layer_can_be_used_twice_in_a_pass():
    """Two uses before either backward give the gradients of two passes on their own."""
    x, y = generator(5).normal(size=(2, 2, 5, 6))
    upstream = generator(6).normal(size=(2, 5, 6))
    for layer in (
        Linear(6, 6, rng=generator(), dtype="float64"),
        LayerNorm(6, dtype="float64"),
        Dropout(0.3),
        TransformerBlock(6, 3, 8, dropout=0.3, rng=generator(), dtype="float64"),
    ):
        alone = layer.backward(upstream, layer.forward(x, rng=generator())[1])
        _, first = layer.forward(x, rng=generator())
        layer.forward(y, rng=generator(1))
        assert_same_bits(layer.backward(upstream, first), alone)


def test_threads_can_share_a_model():
    """Two threads on one model give the bits that one gives, pass for pass."""
    gpt = small_model(dropout=0.3)
    batches = [small_batch(seed=seed) for seed in range(40)]

    def work(number):
        return one_pass(gpt, *batches[number], seed=number)

    expected = [work(number) for number in range(len(batches))]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # let the threads take turns in the middle of passes
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(work, range(len(batches))))
    finally:
        sys.setswitchinterval(interval)
    assert_same_bits(results, expected)


def test_models_share_nothing():
    """Two models of one seed are equal and have no memory in common."""
    one, other = small_model(), small_model()
    assert_same_bits(one, other)
    for (_, ours), (_, theirs) in itertools.product(walk(one), walk(other)):
        assert not np.shares_memory(ours, theirs)


# float32 stays float32


class Watched(np.ndarray):
    """An array that reports the dtype of every array that is computed or cut from it.

    NumPy calls `__array_finalize__` for each new array of this class: results of operators and
    ufuncs, of methods such as `sum` and `astype`, views and reshapes.
    """

    reports: list = []  # noqa: RUF012

    def __array_finalize__(self, parent):
        if self.ndim and self.dtype in (np.float64, np.complex128, np.longdouble):
            place = [f for f in traceback.extract_stack() if "literategpt" in f.filename]
            where = f"{place[-1].filename}:{place[-1].lineno}: {place[-1].line}" if place else "?"
            Watched.reports.append(where)


class WatchingNumpy:
    """NumPy for one module, whose functions return watched arrays.

    So arrays that are made from nothing, or by functions that drop the class, are watched too.
    """

    def __getattr__(self, name):
        thing = getattr(np, name)
        if isinstance(thing, type | np.ufunc) or not callable(thing):
            return thing

        def watched(*args, **settings):
            result = thing(*args, **settings)
            return result.view(Watched) if type(result) is np.ndarray else result

        return watched


class WatchedGenerator:
    """A generator whose numbers are watched."""

    def __init__(self, seed):
        self.generator = generator(seed)

    def random(self, *args, **settings):
        """Draw as the generator does."""
        return self.generator.random(*args, **settings).view(Watched)


def watch(monkeypatch, gpt):
    """Let the modules of the training step, and the model's own arrays, be watched."""
    for module in (activations, layers, attention, transformer, model, optimizer):
        monkeypatch.setattr(module, "np", WatchingNumpy())
    for _, module in modules_of(gpt):
        for name, value in list(vars(module).items()):
            if isinstance(value, np.ndarray):
                setattr(module, name, value.view(Watched))
    monkeypatch.setattr(Watched, "reports", [])


def modules_of(module, path=""):
    """Yield a module and all those inside it."""
    yield path, module
    for name, child in module.children():
        yield from modules_of(child, f"{path}.{name}")


def watched_training_step(kind):
    """Run a whole float32 step on watched arrays, and list what was made in float64."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        gpt = small_model(dtype="float32", **kind)
        tokens, targets = small_batch()
        targets[0, 0] = -1
        watch(monkeypatch, gpt)
        adamw = AdamW(gpt.trainable_parameters())
        tokens, targets = tokens.view(Watched), targets.view(Watched)
        for step in range(2):
            logits, saved, _, grad_logits, gradients = one_pass(
                gpt, tokens, targets, step, WatchedGenerator
            )
            norm = clip_gradients(gradients, 0.01)
            assert norm > 0.01, "the step must clip"
            adamw.step(gradients)
        made = {"logits": logits, "grad_logits": grad_logits, "gradients": gradients}
        made |= {"saved": saved, "model": gpt, "moments": adamw.state()}
        kinds = {path: array.dtype.name for path, array in walk(made)}
        assert all(isinstance(array, Watched) for _, array in walk(saved)), "a part is unwatched"
        return kinds, list(Watched.reports)


def test_float32_training_step_makes_no_float64_array():
    """No array, kept or on the way, is float64 in forward, loss, backward, clipping and AdamW."""
    for kind in KINDS:
        kinds, reports = watched_training_step(kind)
        wide = {path: dtype for path, dtype in kinds.items() if dtype == "float64"}
        assert not wide
        assert not reports, f"float64 arrays are made at {sorted(set(reports))}"


def test_the_watch_sees_hidden_float64(monkeypatch):
    """A float64 array that is rounded back at once is reported, wherever it comes from."""

    def from_a_constant(x):
        return (np.float64(0.5) * x).astype(np.float32)

    def from_nothing(x):
        return (x + activations.np.zeros(x.shape)).astype(np.float32)

    def from_a_method(x):
        return x.astype(np.float64).astype(np.float32)

    def by_a_product(x):
        return (x @ activations.np.eye(x.shape[-1])).astype(np.float32)

    for promote in (from_a_constant, from_nothing, from_a_method, by_a_product):
        with monkeypatch.context() as patches:
            patches.setattr(activations, "np", WatchingNumpy())
            patches.setattr(Watched, "reports", [])
            promote(np.ones((2, 3), "float32").view(Watched))
            assert Watched.reports, promote.__name__


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: "-".join(map(str, k.values())))
def test_evaluation_and_cache_are_float32(kind):
    """Evaluation, the KV cache and its logits are float32 in a float32 model."""
    gpt, (tokens, _) = small_model(dtype="float32", **kind), small_batch()
    cache = gpt.create_cache(len(tokens))
    arrays = [gpt(tokens), gpt.extend(tokens, cache), cache.keys, cache.values]
    assert {array.dtype.name for array in arrays} == {"float32"}


def test_numpy_scalars_in_the_configuration_do_not_promote():
    """Settings that are NumPy float64 scalars leave a float32 model float32."""
    gpt = small_model(dtype="float32", position_scale=np.float64(0.5), dropout=np.float64(0.25))
    logits, saved, _, grad_logits, gradients = one_pass(gpt, *small_batch())
    for path, array in walk([gpt, logits, saved, grad_logits, gradients]):
        assert array.dtype != np.float64, path
    norm = LayerNorm(4, eps=np.float64(1e-5))
    output, saved = norm.forward(np.ones((2, 4), "float32"))
    assert {array.dtype.name for _, array in walk([output, saved])} == {"float32"}


def test_both_dtypes_start_from_the_same_model():
    """The float32 model is the float64 model rounded, and their losses agree to 1e-6."""
    for kind in KINDS:
        config = small_model(**kind).config
        settings = config.to_dict()
        single, double = (
            GPTModel(type(config)(**(settings | {"dtype": dtype})), rng=generator())
            for dtype in ("float32", "float64")
        )
        for name, array in single.named_parameters().items():
            rounded = double.named_parameters()[name].astype("float32")
            np.testing.assert_array_equal(array, rounded)
        tokens, targets = small_batch()
        losses = [one_pass(gpt, tokens, targets)[2] for gpt in (single, double)]
        assert abs(losses[0] - losses[1]) < 1e-6


def test_gradients_agree_in_both_dtypes():
    """Float32 gradients are the float64 ones to one part in ten thousand of the largest."""
    for kind in KINDS:
        single, double = small_model(dtype="float32", **kind), small_model(**kind)
        tokens, targets = small_batch()
        ours, theirs = (one_pass(gpt, tokens, targets)[4] for gpt in (single, double))
        for name, gradient in theirs.items():
            size = max(np.abs(gradient).max(), 1e-2)
            assert np.abs(ours[name] - gradient).max() < 1e-4 * size, name
