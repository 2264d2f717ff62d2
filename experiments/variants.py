"""What a GPT could be instead: the variants that the experiments compare with the package's model.

Each is a module that takes the place of one in the model, with the same parameters under the same
names, so that a variant and the original start from equal weights.
Every backward pass is written by hand, like those of the package, and checked the same way.
"""

import math
from typing import TypeVar

import numpy as np

from literategpt.activations import relu, relu_backward
from literategpt.attention import KVCache, create_causal_mask
from literategpt.layers import Linear, LinearSaved, Module, prefixed
from literategpt.model import GPTModel
from literategpt.transformer import (
    BlockSaved,
    FeedForwardNetwork,
    FeedForwardSaved,
    TransformerBlock,
)
from literategpt.types import Array, Gradients

Kind = TypeVar("Kind", bound=Module)


def become(module: Module, kind: type[Kind]) -> Kind:
    """Make a module of another kind around the same parameters and children.

    Examples:
        >>> block = TransformerBlock(4, 2, 8, rng=np.random.default_rng(0))
        >>> twin = become(block, PostNormBlock)
        >>> twin.attention.query.weight is block.attention.query.weight
        True
    """
    twin = kind.__new__(kind)
    vars(twin).update(vars(module))
    return twin


# --- blocks --------------------------------------------------------------------------------------


def block_gradients(
    norm1: Gradients, attention: Gradients, norm2: Gradients, feed_forward: Gradients
) -> Gradients:
    """Join the gradients of a block's four parts under their names."""
    return (
        prefixed("attention_norm", norm1)
        | prefixed("attention", attention)
        | prefixed("feed_forward_norm", norm2)
        | prefixed("feed_forward", feed_forward)
    )


class PostNormBlock(TransformerBlock):
    r"""A block whose norms stand on the stream itself, after each addition.

    (B, T, C) -> (B, T, C)

    $$h = \mathrm{LayerNorm}(x + \mathrm{Attention}(x)), \qquad
      y = \mathrm{LayerNorm}(h + \mathrm{FFN}(h))$$

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.1.
    """

    def forward(
        self, x: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, BlockSaved]:
        """Add, then normalize, twice."""
        mask = create_causal_mask(x.shape[1])
        attended, attention_saved = self.attention.forward(x, mask=mask)
        attended, dropout1_saved = self.dropout.forward(attended, rng=rng)
        middle, norm1_saved = self.attention_norm.forward(x + attended)
        worked, feed_forward_saved = self.feed_forward.forward(middle)
        worked, dropout2_saved = self.dropout.forward(worked, rng=rng)
        output, norm2_saved = self.feed_forward_norm.forward(middle + worked)
        return output, BlockSaved(
            x, norm1_saved, attention_saved, dropout1_saved,
            norm2_saved, feed_forward_saved, dropout2_saved,
        )  # fmt: skip

    def backward(self, grad_output: Array, saved: BlockSaved) -> tuple[Array, Gradients]:
        """Carry a gradient back through each norm first, then along both paths of the sum."""
        # output = feed_forward_norm(middle + dropout(feed_forward(middle)))
        grad_sum, norm2 = self.feed_forward_norm.backward(grad_output, saved.feed_forward_norm)
        grad, _ = self.dropout.backward(grad_sum, saved.feed_forward_dropout)
        grad, feed_forward = self.feed_forward.backward(grad, saved.feed_forward)
        grad_middle = grad_sum + grad
        # middle = attention_norm(x + dropout(attention(x)))
        grad_sum, norm1 = self.attention_norm.backward(grad_middle, saved.attention_norm)
        grad, _ = self.dropout.backward(grad_sum, saved.attention_dropout)
        grad, attention = self.attention.backward(grad, saved.attention)
        return grad_sum + grad, block_gradients(norm1, attention, norm2, feed_forward)

    def extend(self, x: Array, cache: KVCache, layer: int) -> Array:
        """Evaluate new tokens after those in the cache, (B, T, C) -> (B, T, C)."""
        middle = self.attention_norm(x + self.attention.extend(x, cache, layer))
        return self.feed_forward_norm(middle + self.feed_forward(middle))


class NoResidualBlock(TransformerBlock):
    r"""A block without bypasses: each sub-layer's result takes the place of its input.

    (B, T, C) -> (B, T, C)

    $$h = \mathrm{Attention}(\mathrm{LayerNorm}(x)), \qquad
      y = \mathrm{FFN}(\mathrm{LayerNorm}(h))$$
    """

    def forward(
        self, x: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, BlockSaved]:
        """Normalize and attend, normalize and work; nothing is added."""
        mask = create_causal_mask(x.shape[1])
        normalized, norm1_saved = self.attention_norm.forward(x)
        attended, attention_saved = self.attention.forward(normalized, mask=mask)
        middle, dropout1_saved = self.dropout.forward(attended, rng=rng)
        normalized, norm2_saved = self.feed_forward_norm.forward(middle)
        worked, feed_forward_saved = self.feed_forward.forward(normalized)
        output, dropout2_saved = self.dropout.forward(worked, rng=rng)
        return output, BlockSaved(
            x, norm1_saved, attention_saved, dropout1_saved,
            norm2_saved, feed_forward_saved, dropout2_saved,
        )  # fmt: skip

    def backward(self, grad_output: Array, saved: BlockSaved) -> tuple[Array, Gradients]:
        """Carry a gradient back along the one path there is."""
        # output = dropout(feed_forward(feed_forward_norm(middle)))
        grad, _ = self.dropout.backward(grad_output, saved.feed_forward_dropout)
        grad, feed_forward = self.feed_forward.backward(grad, saved.feed_forward)
        grad, norm2 = self.feed_forward_norm.backward(grad, saved.feed_forward_norm)
        # middle = dropout(attention(attention_norm(x)))
        grad, _ = self.dropout.backward(grad, saved.attention_dropout)
        grad, attention = self.attention.backward(grad, saved.attention)
        grad, norm1 = self.attention_norm.backward(grad, saved.attention_norm)
        return grad, block_gradients(norm1, attention, norm2, feed_forward)

    def extend(self, x: Array, cache: KVCache, layer: int) -> Array:
        """Evaluate new tokens after those in the cache, (B, T, C) -> (B, T, C)."""
        middle = self.attention.extend(self.attention_norm(x), cache, layer)
        return self.feed_forward(self.feed_forward_norm(middle))


class NoNorm(Module):
    """Stands where a norm stood, and does nothing."""

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, None]:
        """Pass the input on."""
        return x, None

    def backward(self, grad_output: Array, saved: None) -> tuple[Array, Gradients]:
        """Pass the gradient on."""
        return grad_output, {}


def use_post_norm(model: GPTModel) -> None:
    """Move the norms of all blocks behind the additions.

    The last block then ends with a norm of its own, so the model's final norm goes.
    """
    model.blocks[:] = [become(block, PostNormBlock) for block in model.blocks]
    model.final_norm = NoNorm()  # type: ignore[assignment]


def remove_residuals(model: GPTModel) -> None:
    """Take the bypasses out of all blocks."""
    model.blocks[:] = [become(block, NoResidualBlock) for block in model.blocks]


# --- attention -----------------------------------------------------------------------------------


class MultipliedLinear(Linear):
    r"""A linear layer whose output is multiplied by a fixed number.

    (..., in) -> (..., out)

    $$y = f \cdot (x W + b)$$
    """

    factor: float

    def forward(
        self, x: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, LinearSaved]:
        """Multiply by the weight, add the bias, multiply by the factor."""
        output, saved = super().forward(x, rng=rng)
        return self.factor * output, saved

    def backward(self, grad_output: Array, saved: LinearSaved) -> tuple[Array, Gradients]:
        """Carry a gradient back through the factor, then through the layer."""
        # output = factor * (x @ weight + bias)
        return super().backward(self.factor * grad_output, saved)


def remove_attention_scale(model: GPTModel) -> None:
    r"""Let every attention layer weigh by its raw scores.

    The queries are multiplied by $\sqrt D$, by which the scores will be divided.
    """
    for block in model.blocks:
        attention = block.attention
        query = become(attention.query, MultipliedLinear)
        query.factor = math.sqrt(len(query.weight) // attention.num_heads)
        attention.query = query


# --- feed-forward networks -----------------------------------------------------------------------


class ReLUFeedForward(FeedForwardNetwork):
    r"""A feed-forward network with a corner in place of GELU's curve.

    (..., C) -> (..., C)

    $$\mathrm{FFN}(x) = \max(0, x W_1 + b_1)\, W_2 + b_2$$

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762, equation 2.
    """

    def forward(
        self, x: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, FeedForwardSaved]:
        """Expand, bend, contract."""
        hidden, expand_saved = self.expand.forward(x)
        output, contract_saved = self.contract.forward(relu(hidden))
        return output, FeedForwardSaved(expand_saved, hidden, hidden > 0, contract_saved)

    def backward(self, grad_output: Array, saved: FeedForwardSaved) -> tuple[Array, Gradients]:
        """Carry a gradient back through the two layers and the bend."""
        # output = self.contract(relu(hidden))
        grad_activated, contract = self.contract.backward(grad_output, saved.contract)
        grad_hidden = relu_backward(grad_activated, saved.hidden)
        # hidden = self.expand(x)
        grad_input, expand = self.expand.backward(grad_hidden, saved.expand)
        return grad_input, prefixed("expand", expand) | prefixed("contract", contract)


class LinearFeedForward(FeedForwardNetwork):
    r"""A feed-forward network without a bend: its two layers are one.

    (..., C) -> (..., C)

    $$(x W_1 + b_1)\, W_2 + b_2 = x\, (W_1 W_2) + (b_1 W_2 + b_2)$$
    """

    def forward(
        self, x: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, FeedForwardSaved]:
        """Expand and contract; everything passes in between."""
        hidden, expand_saved = self.expand.forward(x)
        output, contract_saved = self.contract.forward(hidden)
        return output, FeedForwardSaved(
            expand_saved, hidden, np.ones_like(hidden, bool), contract_saved
        )

    def backward(self, grad_output: Array, saved: FeedForwardSaved) -> tuple[Array, Gradients]:
        """Carry a gradient back through the two layers."""
        # output = self.contract(hidden)
        grad_hidden, contract = self.contract.backward(grad_output, saved.contract)
        # hidden = self.expand(x)
        grad_input, expand = self.expand.backward(grad_hidden, saved.expand)
        return grad_input, prefixed("expand", expand) | prefixed("contract", contract)


ACTIVATIONS: dict[str, type[FeedForwardNetwork]] = {
    "gelu": FeedForwardNetwork,
    "relu": ReLUFeedForward,
    "none": LinearFeedForward,
}
"""What can stand between the two layers."""


def use_activation(model: GPTModel, activation: str) -> None:
    """Put one of `ACTIVATIONS` into every feed-forward network."""
    for block in model.blocks:
        block.feed_forward = become(block.feed_forward, ACTIVATIONS[activation])


# --- positions -----------------------------------------------------------------------------------


def draw_order(sequence: Array) -> Array:
    """Draw an order of a sequence's places, (T,) -> (T,), fixed by its tokens.

    Examples:
        >>> print(draw_order(np.array([7, 7, 7, 7, 7])), draw_order(np.array([7, 7, 7, 7, 8])))
        [1 0 3 2 4] [4 1 3 2 0]
    """
    return np.random.default_rng(sequence.tolist()).permutation(len(sequence))


class ShuffledEveryTime(GPTModel):
    """A GPT that mixes the rows of its position table anew for each sequence.

    The order is drawn from a generator whose seed is the sequence itself, so no state is kept, and
    what a row of the table says of a place is worth nothing.
    """

    def embed(self, tokens: Array, start: int = 0) -> tuple[Array, None]:
        """Look up tokens and add mixed positions, (B, T) -> (B, T, C)."""
        encoding = self.positional_encoding
        rows = encoding.scale * encoding.table[start : start + tokens.shape[1]]
        orders = np.stack([draw_order(sequence) for sequence in tokens])
        return self.token_embedding(tokens) + rows[orders], None


def use_positions(model: GPTModel, positions: str) -> GPTModel:
    """Disturb the positions of a model with sinusoids.

    Args:
        model: Its position table is changed in place.
        positions: "true" leaves all as it is; "shuffled once" puts the rows in one other order for
            good; "shuffled every time" in another order for each sequence; "frozen" gives every
            place the row of the first; "absent" adds nothing.

    Returns:
        The model, or one of another kind around the same parameters.

    Raises:
        ValueError: There is no such disturbance.
    """
    table = model.positional_encoding.table
    if positions == "shuffled every time":
        return become(model, ShuffledEveryTime)
    if positions == "shuffled once":
        table[...] = table[np.random.default_rng(0).permutation(len(table))]
    elif positions == "frozen":
        table[...] = table[0]
    elif positions == "absent":
        table[...] = 0.0
    elif positions != "true":
        raise ValueError(f"expected positions that are known, got {positions!r}")
    return model
