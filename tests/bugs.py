"""A museum of classic bugs: each is planted at run time, and each is caught by a named test.

Every bug is a function that replaces one of the package's.
Most of them were found in real code; many train, and some pass every test of shapes.

`planted(name)` is a context in which the bug is there.
`python -m pytest --plant NAME tests/` plants it for a whole run, to see which tests turn red.
"""

import contextlib
import importlib
import math
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from literategpt.activations import softmax
from literategpt.attention import (
    AttentionSaved,
    KVCache,
    MultiHeadAttention,
    join_heads,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
    split_heads,
)
from literategpt.folding import behind_norm
from literategpt.gradcheck import check_layer
from literategpt.layers import (
    Dropout,
    DropoutSaved,
    EmbeddingSaved,
    LayerNorm,
    LayerNormSaved,
    Linear,
    LinearSaved,
)
from literategpt.lora import LoRALinear
from literategpt.model import GPTModel, ModelSaved, choose_token, cross_entropy_loss
from literategpt.optimizer import clip_gradients, cosine_schedule
from literategpt.sampling import apply_temperature, top_k_filter, top_p_filter
from literategpt.transformer import TransformerBlock
from literategpt.utils import TextDataset

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Bug:
    """A bug: what is wrong, what replaces what, and the tests that must turn red.

    Attributes:
        description: One sentence.
        patches: From "literategpt.module:attribute", or "...:Class.method", to a replacement.
        caught_by: Tests, each as "test_file.py::test_function"; a class may stand between.
    """

    description: str
    patches: Mapping[str, Callable[..., Any]]
    caught_by: tuple[str, ...]


CATALOGUE: dict[str, Bug] = {}


def add(name: str, description: str, patches: Mapping[str, Any], *caught_by: str) -> None:
    """Put a bug into the catalogue."""
    assert name not in CATALOGUE, f"two bugs are called {name}"
    CATALOGUE[name] = Bug(description=description, patches=patches, caught_by=caught_by)


def bug(target: str, *caught_by: str) -> Callable[[Any], Any]:
    """Make the decorated function the replacement; its docstring describes the bug."""

    def decorate(replacement: Any) -> Any:
        description = " ".join(replacement.__doc__.split())
        add(replacement.__name__, description, {f"literategpt.{target}": replacement}, *caught_by)
        return replacement

    return decorate


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """Replace what the bug replaces, wherever it was imported by name, and put it back after."""
    with contextlib.ExitStack() as stack:
        for target, replacement in CATALOGUE[name].patches.items():
            module, path = target.split(":")
            *owner, attribute = path.split(".")
            if owner:
                class_ = getattr(importlib.import_module(module), owner[0])
                stack.callback(setattr, class_, attribute, getattr(class_, attribute))
                setattr(class_, attribute, replacement)
            else:
                original = getattr(importlib.import_module(module), attribute)
                # A module that is first imported under the bug gets the truth at the end too.
                stack.callback(exchange, replacement, original)
                exchange(original, replacement)
        yield


def exchange(old: Any, new: Any) -> None:
    """Set every name of a module that stands for one function to another."""
    for module in modules_that_may_use_it():
        for name in [name for name, value in vars(module).items() if value is old]:
            setattr(module, name, new)


def modules_that_may_use_it() -> list[ModuleType]:
    """List the modules of the package and of the tests, except this one, which keeps the truth."""

    def counts(module: ModuleType) -> bool:
        if module.__name__.split(".")[0] == "literategpt":
            return True
        file = Path(getattr(module, "__file__", None) or "/")
        return HERE in file.parents and module.__name__ != __name__

    loaded = [module for module in sys.modules.values() if isinstance(module, ModuleType)]
    return [module for module in loaded if counts(module)]


# Activations


@bug("activations:softmax", "test_activations.py::test_softmax_of_large_scores")
def softmax_without_maximum(x, axis=-1):
    """The largest score is not subtracted, so scores near a thousand overflow to NaN."""
    exponentials = np.exp(x)
    return exponentials / np.sum(exponentials, axis=axis, keepdims=True)


@bug(
    "activations:softmax",
    "test_activations.py::test_softmax_of_a_fully_masked_row",
    "test_attention.py::test_fully_masked_query",
)
def softmax_of_nothing_is_nan(x, axis=-1):
    """A fully masked row is minus infinity less minus infinity, which is NaN."""
    exponentials = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return exponentials / np.sum(exponentials, axis=axis, keepdims=True)


@bug(
    "activations:softmax_backward",
    "test_activations.py::test_softmax_backward_by_hand",
    "test_attention.py::test_layer_gradients",
)
def softmax_backward_diagonal_only(grad_output, output, axis=-1):
    """The slope p (1 - p) of each probability by its own score is used, those by others are not."""
    return grad_output * output * (1.0 - output)


@bug("activations:gelu_backward", "test_activations.py::test_gelu_gradient")
def gelu_backward_of_the_other_form(grad_output, x, gate=None):
    """Forward is the tanh form of GELU, backward the derivative of the form by erf."""
    erf = np.vectorize(math.erf, otypes=[x.dtype])(x / math.sqrt(2.0))
    density = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    return grad_output * (0.5 * (1.0 + erf) + x * density)


@bug("activations:relu_backward", "test_activations.py::test_relu_backward")
def relu_backward_lets_negatives_pass(grad_output, x):
    """The gradient passes wherever x is not 0, also where it is negative."""
    return grad_output * (x != 0)


@bug("activations:gelu_gate", "test_purity.py::test_float32_training_step_makes_no_float64_array")
def gelu_promotes_to_float64(x):
    """A NumPy constant, np.sqrt(2 / np.pi), makes float32 arrays float64 on the way."""
    inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x * x * x)
    return (0.5 * (1.0 + np.tanh(inner))).astype(x.dtype)


# Layers


@bug("layers:Linear.forward", "test_purity.py::test_a_layer_can_be_used_twice_in_a_pass")
def layer_remembers_its_input(self, x, *, rng=None):
    """The input is kept on the layer, so a second use, or a second thread, overwrites it."""
    self.remembered = getattr(self, "remembered", np.empty(0))
    if self.remembered.shape != x.shape:
        self.remembered = np.empty_like(x)
    self.remembered[...] = x
    return LINEAR_FORWARD(self, x)[0], LinearSaved(self.remembered)


LINEAR_FORWARD = Linear.forward


@bug("layers:Linear.backward", "test_layers.py::test_linear_by_hand")
def bias_gradient_is_a_mean(self, grad_output, saved):
    """The bias gradient is averaged over the rows instead of summed."""
    grad_input, gradients = LINEAR_BACKWARD(self, grad_output, saved)
    rows = grad_output.reshape(-1, grad_output.shape[-1])
    return grad_input, gradients | {n: rows.mean(axis=0) for n in gradients if n == "bias"}


LINEAR_BACKWARD = Linear.backward


@bug(
    "layers:Linear.backward",
    "test_layers.py::test_backward_leaves_frozen_arrays_out",
    "test_layers.py::test_a_frozen_weight_s_gradient_is_not_computed",
    "test_model.py::test_gradients_are_those_of_the_trainable_parameters",
)
def frozen_weights_get_gradients(self, grad_output, saved):
    """Backward returns a gradient for a weight that training leaves alone."""
    grad_input, gradients = LINEAR_BACKWARD(self, grad_output, saved)
    rows = saved.input.reshape(-1, self.weight.shape[0])
    return grad_input, gradients | {"weight": rows.T @ grad_output.reshape(len(rows), -1)}


def normalize(norm, x, *, unbiased=False, eps_outside=False, one_pass=False):
    """Normalize as LayerNorm does, but for one change."""
    mean = np.mean(x, axis=-1, keepdims=True)
    if one_pass:
        variance = np.mean(x * x, axis=-1, keepdims=True) - mean * mean
    else:
        variance = np.var(x, axis=-1, keepdims=True, ddof=1 if unbiased else 0)
    if eps_outside:
        inverse_std = 1.0 / (np.sqrt(variance) + norm.eps)
    else:
        inverse_std = 1.0 / np.sqrt(variance + norm.eps)
    normalized = (x - mean) * inverse_std
    return normalized * norm.weight + norm.bias, LayerNormSaved(normalized, inverse_std)


@bug("layers:LayerNorm.forward", "test_layers.py::test_layer_norm_by_hand")
def layer_norm_with_unbiased_variance(self, x, *, rng=None):
    """The variance divides by C - 1, as a sample's does, and not by C."""
    return normalize(self, x, unbiased=True)


@bug("layers:LayerNorm.forward", "test_layers.py::test_layer_norm_eps_is_inside_the_root")
def layer_norm_eps_outside_the_root(self, x, *, rng=None):
    """The small number is added to the spread and not to the variance."""
    return normalize(self, x, eps_outside=True)


@bug("layers:LayerNorm.forward", "test_layers.py::test_layer_norm_far_from_zero")
def layer_norm_in_one_pass(self, x, *, rng=None):
    """The variance is the mean square less the square of the mean, two numbers that cancel."""
    return normalize(self, x, one_pass=True)


@bug(
    "layers:LayerNorm.forward",
    "test_layers.py::test_layer_norm_gradients",
    "test_model.py::test_no_logit_depends_on_a_later_token",
)
def layer_norm_over_all_tokens(self, x, *, rng=None):
    """Mean and variance are those of the whole text, so a token's result depends on the others."""
    axes = tuple(range(1, x.ndim)) if x.ndim > 2 else -1
    normalized = x - x.mean(axis=axes, keepdims=True)
    inverse_std = 1.0 / np.sqrt(x.var(axis=axes, keepdims=True) + self.eps)
    normalized *= inverse_std
    return normalized * self.weight + self.bias, LayerNormSaved(normalized, inverse_std)


@bug(
    "layers:LayerNorm.backward",
    "test_layers.py::test_layer_norm_backward_by_hand",
    "test_layers.py::test_layer_norm_gradients",
)
def layer_norm_backward_divides_only(self, grad_output, saved):
    """The gradient is divided by the spread, as if mean and spread did not depend on x."""
    _, gradients = LAYER_NORM_BACKWARD(self, grad_output, saved)
    return grad_output * self.weight * saved.inverse_std, gradients


LAYER_NORM_BACKWARD = LayerNorm.backward


@bug(
    "layers:LayerNorm.backward",
    "test_purity.py::test_forward_loss_and_backward_change_nothing",
    "test_purity.py::test_backward_twice_gives_the_same_bits",
)
def backward_changes_what_was_saved(self, grad_output, saved):
    """Backward computes in the saved array, which is right once and wrong the second time."""
    result = LAYER_NORM_BACKWARD(self, grad_output, saved)
    saved.normalized[...] *= saved.inverse_std
    return result


@bug(
    "layers:Embedding.backward",
    "test_layers.py::test_embedding_gradient_by_hand",
    "test_layers.py::test_embedding_gradients",
)
def embedding_gradient_loses_repeats(self, grad_output, saved):
    """`grad[ids] += g` adds once for each row, so of a repeated token only one slope is left."""
    grad_weight = np.zeros_like(self.weight)
    grad_weight[saved.ids] += grad_output
    return None, {"weight": grad_weight}


@bug("layers:draw_weights", "test_purity.py::test_both_dtypes_start_from_the_same_model",
     "test_layers.py::test_both_dtypes_start_from_one_draw")  # fmt: skip
def initial_values_depend_on_the_dtype(rng, shape, dtype):
    """Values are drawn in the model's own dtype, so float32 and float64 start from two models."""
    return rng.standard_normal(shape, dtype=dtype) * np.dtype(dtype).type(0.02)


def sinusoids(max_sequence_length, embedding_dim, exponent_of_sine, exponent_of_cosine):
    """Make a table with the exponents that two functions of the column give."""
    columns = np.arange(0, embedding_dim, 2)
    positions = np.arange(max_sequence_length)[:, None]
    table = np.empty((max_sequence_length, embedding_dim))
    table[:, 0::2] = np.sin(positions / 10000.0 ** (exponent_of_sine(columns) / embedding_dim))
    table[:, 1::2] = np.cos(positions / 10000.0 ** (exponent_of_cosine(columns) / embedding_dim))
    return table


@bug("layers:sinusoid_table", "test_layers.py::test_sinusoids_by_hand")
def sinusoid_exponent_is_halved(max_sequence_length, embedding_dim):
    """The exponent counts pairs, i / d, where the paper has the column, 2i / d."""
    return sinusoids(max_sequence_length, embedding_dim, lambda c: c / 2, lambda c: c / 2)


@bug(
    "layers:sinusoid_table",
    "test_layers.py::test_sine_and_cosine_share_the_exponent",
    "test_layers.py::test_dot_products_depend_on_the_distance_only",
)
def cosine_has_its_own_exponent(max_sequence_length, embedding_dim):
    """Each column has its own exponent, so a sine and its cosine are no clock hand."""
    return sinusoids(max_sequence_length, embedding_dim, lambda c: c, lambda c: c + 1)


@bug("layers:PositionalEncoding.forward", "test_model.py::test_positions_tell_the_order")
def positions_are_forgotten(self, x, *, rng=None, start=0):
    """The position table is never added; the model trains all the same."""
    return x, None


@bug(
    "layers:PositionalEncoding.forward",
    "test_model.py::test_sinusoids_do_not_drown_the_embeddings",
    "test_layers.py::test_positional_encoding_scales_and_starts",
)
def positions_drown_the_embeddings(self, x, *, rng=None, start=0):
    """Sinusoids of amplitude 1 are added to embeddings of size 0.02."""
    return x + self.table[start : start + x.shape[-2]], None


@bug("layers:Dropout.forward", "test_layers.py::test_dropout_keeps_the_mean")
def dropout_does_not_rescale(self, x, *, rng=None):
    """The values that stay are not enlarged, so training sees smaller sums than evaluation."""
    if rng is None or self.rate == 0.0:
        return x, DropoutSaved(None)
    mask = (rng.random(x.shape, dtype=np.float32) >= self.rate).astype(x.dtype)
    return x * mask, DropoutSaved(mask)


@bug("layers:Dropout.backward", "test_layers.py::test_dropout_gradients")
def dropout_draws_again_in_backward(self, grad_output, saved):
    """Backward draws a mask of its own instead of the one that forward used."""
    if saved.mask is None:
        return grad_output, {}
    return self.forward(grad_output, rng=np.random.default_rng(0))[0], {}


@bug(
    "layers:Dropout.forward",
    "test_layers.py::test_dropout_is_off_without_a_generator",
    "test_generation.py::test_dropout_is_off",
    "test_model.py::test_evaluation_equals_forward",
)
def dropout_in_evaluation(self, x, *, rng=None):
    """Values are dropped when the model evaluates and generates too."""
    return DROPOUT_FORWARD(self, x, rng=np.random.default_rng() if rng is None else rng)


DROPOUT_FORWARD = Dropout.forward


# Attention


def tri(query_length, key_length, diagonal):
    """Make a triangular mask."""
    key_length = query_length if key_length is None else key_length
    return np.tri(query_length, key_length, key_length - query_length + diagonal, dtype=bool)


@bug(
    "attention:create_causal_mask",
    "test_attention.py::test_causal_mask_by_hand",
    "test_model.py::test_no_logit_depends_on_a_later_token",
    "test_transformer.py::test_block_does_not_see_the_future",
)
def mask_shows_the_next_token(query_length, key_length=None):
    """The mask is off by one: each position sees the token that it should predict."""
    return tri(query_length, key_length, 1)


@bug(
    "attention:create_causal_mask",
    "test_attention.py::test_causal_mask_by_hand",
    "test_model.py::test_no_logit_depends_on_a_later_token",
)
def mask_is_transposed(query_length, key_length=None):
    """The mask allows what comes after and forbids what came before."""
    return tri(query_length, key_length, 0)[:, ::-1][::-1]


@bug(
    "attention:create_causal_mask",
    "test_attention.py::test_causal_mask_of_unequal_lengths",
    "test_attention.py::test_extend_equals_forward",
    "test_generation.py::test_extend_equals_recomputation",
)
def mask_is_aligned_at_the_start(query_length, key_length=None):
    """With a cache, new tokens get the mask of the first tokens and do not see the later ones."""
    return np.tri(query_length, key_length, dtype=bool)


@bug(
    "attention:scaled_dot_product_attention",
    "test_attention.py::test_attention_by_hand",
    "test_attention.py::test_weights_sum_to_one_under_the_mask",
)
def mask_after_softmax(query, key, value, mask=None):
    """Forbidden weights are set to 0 after the softmax, so the others no longer sum to 1."""
    weights = softmax(query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1]))
    weights = weights if mask is None else weights * mask
    return weights @ value, weights


def unscaled_attention(query, key, value, mask=None):
    """Attend without dividing by the root of D."""
    size = math.sqrt(query.shape[-1])
    return scaled_dot_product_attention(query * size, key, value, mask)


def unscaled_attention_backward(grad_output, query, key, value, weights):
    """Carry back without dividing by the root of D."""
    size = math.sqrt(query.shape[-1])
    grads = scaled_dot_product_attention_backward(grad_output, query, key, value, weights)
    return grads[0] * size, grads[1] * size, grads[2]


FUNCTION = "literategpt.attention:scaled_dot_product_attention"
add(
    "scores_are_not_scaled",
    "Forward and backward agree in not dividing the scores by the root of D.",
    {FUNCTION: unscaled_attention, f"{FUNCTION}_backward": unscaled_attention_backward},
    "test_attention.py::test_scores_are_divided_by_the_root_of_the_head_dimension",
    "test_attention.py::test_attention_by_hand",
)


@bug(
    "attention:scaled_dot_product_attention_backward",
    "test_attention.py::test_attention_backward_by_hand",
    "test_attention.py::test_attention_gradients",
)
def attention_backward_without_scale(grad_output, query, key, value, weights):
    """Forward divides the scores by the root of D, backward forgets to."""
    return unscaled_attention_backward(grad_output, query, key, value, weights)


@bug("attention:MultiHeadAttention.project",
     "test_attention.py::test_each_head_is_attention_on_its_own_columns")  # fmt: skip
def scores_are_scaled_by_the_embedding(self, x):
    """The scores are divided by the root of C, the embedding, instead of D, the head."""
    query, key, value = PROJECT(self, x)
    return query / math.sqrt(self.num_heads), key, value


PROJECT = MultiHeadAttention.project


def split_heads_at_once(x, num_heads):
    """Reshape to (B, H, T, D) without the transpose."""
    batch, time, channels = x.shape
    return x.reshape(batch, num_heads, time, channels // num_heads)


def join_heads_at_once(heads):
    """Undo `split_heads_at_once`."""
    batch, num_heads, time, head_dim = heads.shape
    return heads.reshape(batch, time, num_heads * head_dim)


add(
    "heads_are_reshaped_without_transposing",
    "The heads are cut by one reshape, which mixes positions with features; gradients stay right.",
    {
        "literategpt.attention:split_heads": split_heads_at_once,
        "literategpt.attention:join_heads": join_heads_at_once,
    },
    "test_attention.py::test_permuting_the_tokens_permutes_the_outputs",
    "test_attention.py::test_heads_are_parts_of_each_token",
)


def attention_backward(dropped):
    """Make a backward pass of multi-head attention in which some paths to the input are lost."""

    def backward(self, grad_output, saved: AttentionSaved):
        grad_joined, from_output = self.output.backward(grad_output, saved.output)
        heads = scaled_dot_product_attention_backward(
            split_heads(grad_joined, self.num_heads),
            saved.query, saved.key, saved.value, saved.weights,
        )  # fmt: skip
        gradients = {f"output.{name}": g for name, g in from_output.items()}
        total = np.zeros_like(saved.input.input)
        for name, grad in zip(("query", "key", "value"), heads, strict=True):
            grad_x, own = getattr(self, name).backward(join_heads(grad), saved.input)
            gradients |= {f"{name}.{key}": g for key, g in own.items()}
            if name not in dropped:
                total += grad_x
        return total, gradients

    return backward


for bug_name, dropped_paths, words in (
    ("attention_gradient_through_value_only", ("query", "key"), "only the one through the values"),
    ("attention_gradient_without_query", ("query",), "all but the one through the queries"),
    ("attention_gradient_without_key", ("key",), "all but the one through the keys"),
):
    add(
        bug_name,
        f"Of the three paths back to the input {words} is followed.",
        {"literategpt.attention:MultiHeadAttention.backward": attention_backward(dropped_paths)},
        "test_attention.py::test_layer_gradients",
        "test_transformer.py::test_block_gradients",
        "test_model.py::test_gradients_of_one_repeated_token",
    )


# The block and the model


@bug(
    "transformer:TransformerBlock.backward",
    "test_transformer.py::test_block_gradients",
    "test_transformer.py::test_block_with_silent_sub_layers_is_a_bypass",
)
def residual_gradient_is_dropped(self, grad_output, saved):
    """The gradient goes through the sub-layers but not along the bypass around them."""
    grad_input, gradients = BLOCK_BACKWARD(self, grad_output, saved)
    return grad_input - grad_output, gradients


BLOCK_BACKWARD = TransformerBlock.backward


def forward_without_final_norm(self, tokens, *, rng=None):
    """Run the model forward, but hand the head the stream as the last block left it."""
    x, positions = self.embed(np.asarray(tokens))
    x, dropout = self.dropout.forward(x, rng=rng)
    blocks = []
    for block in self.blocks:
        x, saved = block.forward(x, rng=rng)
        blocks.append(saved)
    _, norm = self.final_norm.forward(x)
    saved = ModelSaved(
        EmbeddingSaved(tokens), positions, dropout, tuple(blocks), norm, LinearSaved(x)
    )
    return self.unembed(x), saved


def evaluate_without_final_norm(self, tokens):
    """Return the logits alone."""
    return forward_without_final_norm(self, tokens)[0]


add(
    "final_norm_is_missing",
    "The head reads the stream as the last block leaves it, without the last LayerNorm.",
    {
        "literategpt.model:GPTModel.forward": forward_without_final_norm,
        "literategpt.model:GPTModel.__call__": evaluate_without_final_norm,
    },
    "test_model.py::test_final_norm_stands_before_the_head",
)


@bug(
    "model:GPTModel.backward",
    "test_model.py::test_final_norm_is_trained",
    "test_model.py::test_gradients_are_those_of_the_trainable_parameters",
)
def final_norm_is_not_trained(self, grad_logits, saved):
    """The gradients of the last LayerNorm are computed and then left out."""
    gradients = MODEL_BACKWARD(self, grad_logits, saved)
    return {name: g for name, g in gradients.items() if not name.startswith("final_norm")}


MODEL_BACKWARD = GPTModel.backward


@bug(
    "model:add_gradients",
    "test_model.py::test_adding_gradients_keeps_both_dictionaries",
    "test_model.py::test_a_tied_head_has_two_contributions",
)
def tied_head_loses_a_contribution(first, second):
    """The second dictionary replaces the first, so the table learns nothing from the head."""
    return first | second


COPIES: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


@bug("model:GPTModel.unembed", "test_model.py::test_a_tied_head_is_one_array")
def tied_head_is_a_copy(self, hidden):
    """The head starts as a copy of the embedding, and the two drift apart."""
    weight = self.token_embedding.weight if self.config.tie_weights else self.head.weight.T
    return hidden @ COPIES.setdefault(self, weight.copy()).T


@bug(
    "model:GPTModel.embed_backward",
    "test_model.py::test_position_gradient_is_summed_over_the_batch",
    "test_model.py::test_gradients_of_one_repeated_token",
)
def position_gradient_of_one_sequence(self, grad, saved):
    """Of the learned positions' slopes only those of the batch's first sequence are used."""
    gradients = EMBED_BACKWARD(self, grad, saved)
    if saved.positions is not None:
        _, own = self.position_embedding.backward(grad[0], saved.positions)
        gradients |= {f"position_embedding.{name}": g for name, g in own.items()}
    return gradients


EMBED_BACKWARD = GPTModel.embed_backward


# The loss


@bug(
    "model:cross_entropy_loss",
    "test_model.py::test_loss_of_a_certain_right_answer",
    "test_model.py::test_loss_of_extreme_logits",
)
def loss_has_an_epsilon(logits, targets, ignore_index=None, denominator=None):
    """The loss is -log(p + 1e-9): below 0 for a sure answer, and never above 20.7."""
    _, grad = cross_entropy_loss(logits, targets, ignore_index, denominator)
    chosen = np.take_along_axis(softmax(logits), targets[..., None], -1)
    return float(np.mean(-np.log(chosen + 1e-9))), grad


@bug("model:cross_entropy_loss", "test_model.py::test_loss_of_extreme_logits")
def loss_clips_probabilities(logits, targets, ignore_index=None, denominator=None):
    """Probabilities are clipped before the logarithm; the gradient shown is not this loss's."""
    _, grad = cross_entropy_loss(logits, targets, ignore_index, denominator)
    chosen = np.take_along_axis(softmax(logits), targets[..., None], -1)
    return float(np.mean(-np.log(np.clip(chosen, 1e-9, 1.0)))), grad


@bug("model:cross_entropy_loss", "test_model.py::test_ignored_places_count_nowhere")
def loss_divides_by_padding_too(logits, targets, ignore_index=None, denominator=None):
    """Padding is left out of the sum, but counted in the number it is divided by."""
    return cross_entropy_loss(logits, targets, ignore_index, denominator or targets.size)


@bug(
    "model:cross_entropy_loss",
    "test_model.py::test_ignored_places_count_nowhere",
    "test_model.py::test_loss_gradients",
)
def padding_has_a_gradient(logits, targets, ignore_index=None, denominator=None):
    """Padding is left out of the loss, but its logits get the gradient of token 0."""
    loss, _ = cross_entropy_loss(logits, targets, ignore_index, denominator)
    counted = np.sum(targets != ignore_index) if ignore_index is not None else targets.size
    places = np.where(targets == ignore_index, 0, targets) if ignore_index is not None else targets
    total = denominator or max(float(counted), 1.0)
    return loss, cross_entropy_loss(logits, places, None, total)[1]


@bug("model:cross_entropy_loss", "test_model.py::test_a_batch_of_padding_costs_nothing")
def loss_of_padding_is_nan(logits, targets, ignore_index=None, denominator=None):
    """A batch of nothing but padding divides 0 by 0."""
    loss, grad = cross_entropy_loss(logits, targets, ignore_index, denominator)
    return (loss, grad) if np.any(targets != ignore_index) else (math.nan, grad)


@bug("model:cross_entropy_loss", "test_model.py::test_pieces_of_a_batch_add_up")
def pieces_of_a_batch_weigh_the_same(logits, targets, ignore_index=None, denominator=None):
    """Each piece of a batch divides by its own count, so short pieces weigh too much."""
    return cross_entropy_loss(logits, targets, ignore_index)


@bug("model:cross_entropy_loss", "test_generation.py::test_a_memorised_passage_is_reproduced")
def targets_are_shifted_twice(logits, targets, ignore_index=None, denominator=None):
    """Targets that are one place on already are shifted again inside the loss."""
    loss, short = cross_entropy_loss(logits[:, :-1], targets[:, 1:], ignore_index, denominator)
    grad = np.zeros_like(logits)
    grad[:, :-1] = short
    return loss, grad


@bug(
    "model:cross_entropy_loss",
    "test_purity.py::test_forward_loss_and_backward_change_nothing",
)
def loss_works_in_the_logits(logits, targets, ignore_index=None, denominator=None):
    """The gradient is made in the caller's logits, which are gone after the first use."""
    loss, grad = cross_entropy_loss(logits, targets, ignore_index, denominator)
    logits[...] = grad
    return loss, logits


# The optimizer


def adamw_update(*, corrected_at=0, coupled=False, all_decay=False, eps_inside=False):
    """Make the update of AdamW as the paper has it, but for the change asked for."""

    def update(self, name, parameter, gradient, rate):
        beta1, beta2 = self.betas
        decay = self.weight_decay if parameter.ndim >= 2 or all_decay else 0.0
        if coupled:
            gradient, decay = gradient + decay * parameter, 0.0
        mean, square = self.first_moment[name], self.second_moment[name]
        mean[...] = beta1 * mean + (1 - beta1) * gradient
        square[...] = beta2 * square + (1 - beta2) * gradient * gradient
        t = math.inf if corrected_at is None else self.step_count + corrected_at
        with np.errstate(all="ignore"):
            corrected, size = (
                moment / np.float64(1 - beta**t)
                for moment, beta in ((mean, beta1), (square, beta2))
            )
            spread = np.sqrt(size + self.eps) if eps_inside else np.sqrt(size) + self.eps
            parameter[...] -= rate * decay * parameter + rate * corrected / spread

    return update


for bug_name, words, change, tests in (
    ("adamw_without_bias_correction",
     "The means start at 0 and are used as they are, so the first steps have the wrong length.",
     {"corrected_at": None}, ["test_first_step_by_hand", "test_steps_against_a_plain_loop"]),
    ("adamw_counts_from_zero",
     "The bias correction of the first step is that of step 0, a division by 0.",
     {"corrected_at": -1}, ["test_first_step_by_hand", "test_steps_against_a_plain_loop"]),
    ("adamw_couples_its_decay",
     "Weight decay is added to the gradient, as in Adam with L2, and rescaled with it.",
     {"coupled": True},
     ["test_decay_does_not_pass_through_the_moments", "test_steps_against_a_plain_loop",
      "test_a_tied_head_is_decayed_once"]),
    ("adamw_decays_biases",
     "Biases and the gains of norms are pulled to 0 like matrices.",
     {"all_decay": True},
     ["test_decay_is_decoupled_and_for_matrices_only", "test_steps_against_a_plain_loop"]),
    ("adamw_eps_inside_the_root",
     "The small number is added under the root instead of to it.",
     {"eps_inside": True}, ["test_steps_against_a_plain_loop"]),
):  # fmt: skip
    add(
        bug_name, words, {"literategpt.optimizer:AdamW._update": adamw_update(**change)},
        *(f"test_optimizer.py::{test}" for test in tests),
    )  # fmt: skip


@bug(
    "optimizer:AdamW._update",
    "test_optimizer.py::test_parameters_are_changed_in_place_and_gradients_are_not",
)
def optimizer_rebinds_the_parameters(self, name, parameter, gradient, rate):
    """New arrays are put into the optimizer's dictionary, and the model keeps the old ones."""
    self.parameters = dict(self.parameters) | {name: parameter - rate * gradient}


@bug(
    "optimizer:clip_gradients",
    "test_optimizer.py::test_clip_by_hand",
    "test_optimizer.py::test_clip_keeps_the_direction",
)
def clip_each_tensor_alone(gradients, max_norm):
    """Each tensor is shortened by its own norm, which turns the gradient's direction."""
    return math.hypot(*(clip_gradients({n: g}, max_norm) for n, g in gradients.items()))


@bug("optimizer:clip_gradients", "test_optimizer.py::test_clip_by_hand")
def clip_returns_the_norm_after(gradients, max_norm):
    """The norm that is returned, and logged, is the clipped one: it hides every explosion."""
    return min(clip_gradients(gradients, max_norm), max_norm)


@bug(
    "optimizer:clip_gradients",
    "test_optimizer.py::test_clip_refuses_gradients_that_are_not_finite",
)
def clip_lets_nan_pass(gradients, max_norm):
    """NaN is not larger than the limit, so it is not clipped and spoils the weights."""
    norm = math.sqrt(sum(float(np.sum(np.square(g))) for g in gradients.values()))
    if norm > max_norm:
        for gradient in gradients.values():
            gradient *= max_norm / norm
    return norm


@bug(
    "optimizer:cosine_schedule",
    "test_optimizer.py::test_schedule_is_above_zero_from_the_first_step",
    "test_optimizer.py::test_schedule_by_hand",
)
def schedule_starts_at_zero(step, *, peak, warmup_steps, total_steps, minimum=0.0):
    """The rise starts at 0, so the first batch is read for nothing."""
    if step < warmup_steps:
        return peak * step / warmup_steps
    return cosine_schedule(
        step, peak=peak, warmup_steps=warmup_steps, total_steps=total_steps, minimum=minimum
    )


@bug(
    "optimizer:cosine_schedule",
    "test_optimizer.py::test_schedule_reaches_its_peak_and_minimum_exactly",
    "test_optimizer.py::test_schedule_by_hand",
)
def schedule_never_reaches_its_minimum(step, *, peak, warmup_steps, total_steps, minimum=0.0):
    """The cosine is cut into one step too many, so the last step stops short of the end."""
    return cosine_schedule(
        step, peak=peak, warmup_steps=warmup_steps, total_steps=total_steps + 1, minimum=minimum
    )


# Sampling


@bug(
    "sampling:top_p_filter",
    "test_sampling.py::test_top_p_by_hand",
    "test_sampling.py::test_top_p_reaches_p_and_not_a_token_less",
)
def top_p_drops_the_crossing_token(logits, p):
    """Only tokens whose sum stays below p are kept, and the one that crosses it is lost."""
    order = np.argsort(-logits, axis=-1, kind="stable")
    keep_sorted = np.cumsum(softmax(np.take_along_axis(logits, order, -1)), axis=-1) < p
    keep_sorted[:, 0] = True
    keep = np.empty_like(keep_sorted)
    np.put_along_axis(keep, order, keep_sorted, -1)
    return np.where(keep, logits, -np.inf)


@bug("sampling:top_p_filter", "test_sampling.py::test_top_p_at_a_sum_that_rounds",
     "test_sampling.py::test_top_p_tolerance_holds_for_every_shift")  # fmt: skip
def top_p_without_tolerance(logits, p):
    """A sum that should reach p exactly is rounded to just below it, and one more is kept."""
    order = np.argsort(-logits, axis=-1, kind="stable")
    probabilities = softmax(np.take_along_axis(logits, order, -1))
    keep_sorted = np.cumsum(probabilities, axis=-1) - probabilities < p
    keep = np.empty_like(keep_sorted)
    np.put_along_axis(keep, order, keep_sorted, -1)
    return np.where(keep, logits, -np.inf)


@bug("sampling:top_k_filter", "test_sampling.py::test_top_k_with_ties_keeps_exactly_k")
def top_k_keeps_ties(logits, k):
    """Everything that equals the k-th largest is kept, which can be far more than k."""
    border = np.sort(logits, axis=-1)[:, -min(k, logits.shape[-1])]
    return np.where(logits >= border[:, None], logits, -np.inf)


@bug("sampling:top_k_filter", "test_sampling.py::test_the_callers_logits_are_not_changed")
def filter_works_in_the_callers_logits(logits, k):
    """The removed tokens are marked in the array that the caller still holds."""
    logits[...] = top_k_filter(logits, k)
    return logits


@bug("sampling:top_k_filter", "test_sampling.py::test_rows_are_filtered_on_their_own")
def top_k_of_the_first_row_is_used_for_all(logits, k):
    """One row decides for the whole batch which tokens are kept."""
    return np.where(top_k_filter(logits[:1], k) > -np.inf, logits, -np.inf)


@bug("model:filter_logits", "test_sampling.py::test_order_of_the_settings")
def temperature_after_the_filters(logits, temperature, top_k, top_p):
    """The filters see the probabilities before the temperature has changed them."""
    logits = logits if top_k is None else top_k_filter(logits, top_k)
    logits = logits if top_p is None else top_p_filter(logits, top_p)
    return apply_temperature(logits, temperature)


@bug("model:filter_logits", "test_sampling.py::test_order_of_the_settings")
def top_p_before_top_k(logits, temperature, top_k, top_p):
    """Top-p acts on the whole vocabulary and not on what top-k has left."""
    logits = apply_temperature(logits, temperature)
    logits = logits if top_p is None else top_p_filter(logits, top_p)
    return logits if top_k is None else top_k_filter(logits, top_k)


@bug("sampling:sample", "test_sampling.py::test_rows_draw_independently")
def rows_share_one_random_number(logits, rng):
    """One number is drawn for the whole batch, so equal prompts write equal texts."""
    cumulative = np.cumsum(softmax(logits.astype(np.float64)), axis=-1)
    return np.argmax(cumulative > rng.random() * cumulative[:, -1:], axis=-1)


# Generation and its cache


@bug(
    "model:GPTModel.embed",
    "test_generation.py::test_extend_equals_recomputation",
    "test_generation.py::test_generation_with_the_cache_equals_recomputation",
)
def cached_tokens_start_at_position_zero(self, tokens, start=0):
    """A token read after others through the cache gets the position of the first."""
    return EMBED(self, tokens, 0)


EMBED = GPTModel.embed


@bug(
    "attention:MultiHeadAttention.extend",
    "test_attention.py::test_extend_equals_forward",
    "test_transformer.py::test_block_extends_as_it_evaluates",
    "test_generation.py::test_extend_equals_recomputation",
)
def extend_forgets_the_mask(self, x, cache: KVCache, layer):
    """Several tokens read at once see each other both ways."""
    query, new_keys, new_values = self.project(x)
    attended, _ = scaled_dot_product_attention(query, *cache.append(layer, new_keys, new_values))
    return self.output(join_heads(attended))


@bug(
    "model:GPTModel._next_logits",
    "test_generation.py::test_generation_with_the_cache_equals_recomputation",
    "test_generation.py::test_a_full_context_goes_on_with_its_later_half",
)
def cache_outlives_its_context(self, context, cache, use_cache):
    """When the context slides the old keys are kept, each with the position it once had."""
    longest = self.config.max_sequence_length
    half = max(longest // 2, 1)
    if cache is not None and context.shape[1] > longest:
        context = context[:, -half:]
        for array in (cache.keys, cache.values):
            array[..., : half - 1, :] = array[..., longest - half + 1 :, :].copy()
        cache.length = half - 1
    return NEXT_LOGITS(self, context, cache, use_cache)


NEXT_LOGITS = GPTModel._next_logits


def stream(rest_writes_on=True, finished_rows_write_on=False):
    """Make a stream in which rows that meet the end of text are treated wrongly."""

    def _stream(self, tokens, count, temperature, top_k, top_p, eos_id, rng, use_cache):
        finished = np.zeros(len(tokens), bool)
        context, cache = tokens[:, -self.config.max_sequence_length :], None
        for _ in range(count):
            context, cache, logits = self._next_logits(context, cache, use_cache)
            token = choose_token(logits, temperature, top_k, top_p, rng)
            if not finished_rows_write_on and eos_id is not None:
                token = np.where(finished, eos_id, token)
            finished = finished | (token == eos_id)
            yield token
            if finished.all() if rest_writes_on else finished.any():
                return
            context = np.concatenate([context, token[:, None]], axis=1)

    return _stream


for bug_name, words, change in (
    ("one_row_ends_the_batch", "The first row that ends its text ends all others' too.",
     {"rest_writes_on": False}),
    ("finished_rows_write_on", "A row that has ended its text goes on writing after the end.",
     {"finished_rows_write_on": True}),
):  # fmt: skip
    add(
        bug_name, words, {"literategpt.model:GPTModel._stream": stream(**change)},
        "test_generation.py::test_rows_stop_on_their_own",
    )  # fmt: skip


# Data


@bug(
    "utils:TextDataset.__getitem__",
    "test_utils.py::TestTextDataset::test_targets_are_the_inputs_shifted_once",
)
def windows_are_shifted_twice(self, i):
    """The targets of a window are two places on: the loss falls lower, the text is gibberish."""
    inputs, targets = GET_WINDOW(self, i)
    return inputs[:-1], targets[1:]


@bug(
    "utils:TextDataset.__getitem__",
    "test_utils.py::TestTextDataset::test_targets_are_the_inputs_shifted_once",
)
def windows_are_not_shifted(self, i):
    """The targets are the inputs, so the model learns to copy what it just read."""
    inputs, _ = GET_WINDOW(self, i)
    return inputs, inputs


GET_WINDOW = TextDataset.__getitem__


@bug(
    "utils:TextDataset.__len__",
    "test_utils.py::TestTextDataset::test_the_last_window_ends_at_the_last_token",
    "test_utils.py::TestTextDataset::test_every_token_is_a_target_but_the_first",
)
def last_window_is_lost(self):
    """Where the text does not divide evenly, its end is never trained on."""
    return 1 + (len(self.tokens) - 1 - self.sequence_length) // self.stride


# LoRA


@bug(
    "lora:LoRALinear.backward",
    "test_lora.py::test_layer_gradients",
    "test_lora.py::test_first_gradients_by_hand",
)
def lora_backward_without_scale(self, grad_output, saved):
    """Forward multiplies the correction by alpha / rank, backward does not."""
    grad_input, gradients = LORA_BACKWARD(self, grad_output, saved)
    return grad_input, {name: g / self.factor for name, g in gradients.items()}


LORA_BACKWARD = LoRALinear.backward


@bug("lora:LoRALinear.merge", "test_lora.py::test_merging_changes_no_output")
def lora_merges_without_scale(self):
    """The correction is merged into the weight without alpha / rank."""
    self.base = self.weight.copy()
    self.weight += self.lora_a @ self.lora_b


@bug("lora:LoRALinear.unmerge", "test_lora.py::test_unmerging_restores_the_base_to_the_bit")
def lora_unmerges_by_subtracting(self):
    """The correction is subtracted again, which leaves the rounding of both sums in the base."""
    self.weight -= (self.lora_a @ self.lora_b) * self.factor
    self.base = None


@bug("lora:LoRALinear.__init__", "test_lora.py::test_the_start_is_the_base_to_the_bit")
def lora_starts_away_from_the_base(self, linear, rank=4, alpha=8, *, rng):
    """Both A and B start random, so the first answer is not the base model's."""
    LORA_INIT(self, linear, rank, alpha, rng=rng)
    self.lora_b[...] = rng.normal(0.0, 0.02, self.lora_b.shape)


LORA_INIT = LoRALinear.__init__


# Folding


@bug(
    "folding:behind_norm",
    "test_folding.py::test_logits_are_those_of_the_plain_model",
    "test_folding.py::test_generation_is_the_same_past_the_end_of_the_context",
)
def folding_loses_the_bias_of_the_norm(norm, layer):
    """The norm's gain is folded into the layer behind it, and its bias is forgotten."""
    folded = BEHIND_NORM(norm, layer)
    return folded._replace(bias=layer.bias)


BEHIND_NORM = behind_norm


@bug("folding:centred", "test_folding.py::test_logits_are_those_of_the_plain_model")
def folding_keeps_the_mean(vectors):
    """What is added to the stream keeps its mean, which no norm takes away any more."""
    return vectors


@bug("folding:FoldedModel.direction", "test_folding.py::test_large_eps_is_kept")
def folding_forgets_eps(self, x):
    """Vectors are made exactly one long, also those so short that eps matters."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


# The checks themselves


@bug("gradcheck:gradient_error", "test_gradcheck.py::test_error_of_nan",
     "test_gradcheck.py::test_a_loss_of_nan_is_not_passed_over")  # fmt: skip
def gradient_check_lets_nan_pass(analytic, numerical):
    """Python's max(0.0, nan) is 0.0, so a slope of NaN looks like no slope."""
    size = max(float(np.max(np.abs(analytic))), float(np.max(np.abs(numerical))))
    return 0.0 if size < 1e-9 else float(np.max(np.abs(analytic - numerical))) / size


class Ones:
    """A generator that is not random."""

    def normal(self, size):
        """Return ones."""
        return np.ones(size)


@bug("gradcheck:check_layer", "test_gradcheck.py::test_the_upstream_gradient_is_random")
def gradient_check_with_an_upstream_of_ones(layer, x, *, rng, dropout_seed=None):
    """The sum of a softmax or of a LayerNorm has no slope, so any check of it passes."""
    return check_layer(layer, x, rng=Ones(), dropout_seed=dropout_seed)
