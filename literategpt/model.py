"""The whole GPT: embeddings, a stack of blocks, a last norm and a head that scores every token.

`GPTModel.forward` turns token ids into logits, `cross_entropy_loss` says how surprised the model
was by what came next, and `GPTModel.backward` carries that surprise back to every parameter.
`GPTModel.stream` runs the model forwards again and again, one new token at a time.

Run `python -m literategpt.model` to build one and count its parameters.
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from literategpt.activations import check_floating
from literategpt.attention import KVCache
from literategpt.layers import (
    Dropout,
    DropoutSaved,
    Embedding,
    EmbeddingSaved,
    LayerNorm,
    LayerNormSaved,
    Linear,
    LinearSaved,
    Module,
    PositionalEncoding,
    check_positions,
    check_positive,
    check_token_ids,
    prefixed,
)
from literategpt.sampling import (
    apply_temperature,
    check_logits,
    sample,
    top_k_filter,
    top_p_filter,
)
from literategpt.transformer import BlockSaved, TransformerBlock
from literategpt.types import Array, Gradients

__all__ = ["GPTConfig", "GPTModel", "cross_entropy_loss"]


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """Everything that fixes the shape of a model; two models of one config have equal shapes.

    Args:
        vocabulary_size: Number of tokens, V.
        max_sequence_length: The longest context, in tokens.
        embedding_dim: Length of each token's vector, C.
        num_heads: Attention heads in a block, H; C is a multiple of it.
        num_layers: Number of blocks.
        feed_forward_dim: Hidden units of a block's feed-forward network.
        dropout: Rate while training, on the embedding sum and on each sub-layer's result.
        tie_weights: Whether the head uses the token embedding's array, transposed.
        positional_encoding: "sinusoidal", computed, or "learned", a table with a row a position.
        position_scale: The sinusoids are multiplied by it.
        dtype: "float32" to train, "float64" to check.

    Raises:
        ValueError: A value is out of its range, or two do not fit together.

    Examples:
        >>> GPTConfig().head_dim
        32
        >>> GPTConfig(num_heads=3)
        Traceback (most recent call last):
            ...
        ValueError: expected embedding_dim to be a multiple of num_heads, got 128 and 3
    """

    vocabulary_size: int = 2000
    max_sequence_length: int = 256
    embedding_dim: int = 128
    num_heads: int = 4
    num_layers: int = 4
    feed_forward_dim: int = 512
    dropout: float = 0.0
    tie_weights: bool = True
    positional_encoding: Literal["sinusoidal", "learned"] = "sinusoidal"
    position_scale: float = 0.02
    dtype: str = "float32"

    def __post_init__(self) -> None:
        """Check every field and how they fit together."""
        for name in (
            "vocabulary_size", "max_sequence_length", "embedding_dim",
            "num_heads", "num_layers", "feed_forward_dim",
        ):  # fmt: skip
            check_positive(**{name: getattr(self, name)})
        if self.embedding_dim % self.num_heads:
            raise ValueError(
                f"expected embedding_dim to be a multiple of num_heads, "
                f"got {self.embedding_dim} and {self.num_heads}"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"expected a dropout rate in [0, 1), got {self.dropout}")
        if self.positional_encoding not in ("sinusoidal", "learned"):
            raise ValueError(
                f'expected positional_encoding "sinusoidal" or "learned", '
                f"got {self.positional_encoding!r}"
            )
        if self.positional_encoding == "sinusoidal" and self.embedding_dim % 2:
            raise ValueError(f"expected an even embedding_dim, got {self.embedding_dim}")
        if not math.isfinite(self.position_scale):
            raise ValueError(f"expected a finite position_scale, got {self.position_scale}")
        # A NumPy float64 scalar would turn float32 arrays into float64.
        object.__setattr__(self, "position_scale", float(self.position_scale))
        object.__setattr__(self, "dropout", float(self.dropout))
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f'expected dtype "float32" or "float64", got {self.dtype!r}')

    @property
    def head_dim(self) -> int:
        """Features of one attention head, D = C / H."""
        return self.embedding_dim // self.num_heads

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, to be stored."""
        return asdict(self)


class ModelSaved(NamedTuple):
    """What `GPTModel.backward` needs; `blocks[i].attention.weights` are the attention maps."""

    tokens: EmbeddingSaved
    positions: EmbeddingSaved | None
    dropout: DropoutSaved
    blocks: tuple[BlockSaved, ...]
    final_norm: LayerNormSaved
    head: LinearSaved  # (B, T, C), what the head was given


def add_gradients(first: Gradients, second: Gradients) -> Gradients:
    """Join two dictionaries; where both have a name, add: two uses of one array are two paths.

    Examples:
        >>> table = {"token_embedding.weight": np.array([1.0, 2.0])}
        >>> add_gradients(table, {"token_embedding.weight": np.array([10.0, 20.0])})
        {'token_embedding.weight': array([11., 22.])}
    """
    both = first.keys() & second.keys()
    return first | second | {name: first[name] + second[name] for name in both}


def filter_logits(
    logits: Array, temperature: float, top_k: int | None, top_p: float | None
) -> Array:
    """Apply the settings in their order: temperature, top-k, top-p, (B, V) -> (B, V)."""
    logits = apply_temperature(logits, temperature)
    if top_k is not None:
        logits = top_k_filter(logits, top_k)
    if top_p is not None:
        logits = top_p_filter(logits, top_p)
    return logits


def choose_token(
    logits: Array,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    rng: np.random.Generator,
) -> Array:
    """Apply the settings and draw; at temperature 0 take the likeliest, (B, V) -> (B,)."""
    if temperature == 0.0:
        check_logits(logits)
        likeliest: Array = np.argmax(logits, axis=-1)
        return likeliest
    return sample(filter_logits(logits, temperature, top_k, top_p), rng)


class GPTModel(Module):
    """A decoder-only transformer: it scores every token of the vocabulary as the next one.

    (B, T) token ids -> (B, T, V) logits

    Args:
        config: The shape.
        rng: Draws the initial weights.

    Reference:
        Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".

    Examples:
        >>> model = GPTModel(GPTConfig(), rng=np.random.default_rng(0))
        >>> model.num_parameters()
        1049344
        >>> logits = model(np.array([[1, 2, 3]]))
        >>> logits.shape
        (1, 3, 2000)
    """

    def __init__(self, config: GPTConfig, *, rng: np.random.Generator) -> None:
        self.config = config
        size, dtype = config.embedding_dim, config.dtype
        self.token_embedding = Embedding(config.vocabulary_size, size, rng=rng, dtype=dtype)
        length = config.max_sequence_length
        if config.positional_encoding == "learned":
            self.position_embedding = Embedding(length, size, rng=rng, dtype=dtype)
        else:
            self.positional_encoding = PositionalEncoding(
                length, size, scale=config.position_scale, dtype=dtype
            )
        self.dropout = Dropout(config.dropout)
        self.blocks = [
            TransformerBlock(
                size, config.num_heads, config.feed_forward_dim,
                dropout=config.dropout, rng=rng, dtype=dtype,
            )
            for _ in range(config.num_layers)
        ]  # fmt: skip
        self.final_norm = LayerNorm(size, dtype=dtype)
        if not config.tie_weights:
            self.head = Linear(size, config.vocabulary_size, bias=False, rng=rng, dtype=dtype)

    def num_parameters(self) -> int:
        """Count the numbers that training can adjust; a tied head counts once."""
        return sum(array.size for array in self.named_parameters().values())

    def embed(self, tokens: Array, start: int = 0) -> tuple[Array, EmbeddingSaved | None]:
        """Look up tokens and add their positions, (B, T) -> (B, T, C)."""
        embedded = self.token_embedding(tokens)
        if self.config.positional_encoding == "sinusoidal":
            return self.positional_encoding.forward(embedded, start=start)[0], None
        check_positions(start, tokens.shape[1], self.config.max_sequence_length)
        rows, saved = self.position_embedding.forward(np.arange(start, start + tokens.shape[1]))
        return embedded + rows, saved

    def unembed(self, hidden: Array) -> Array:
        """Score every token of the vocabulary, (..., C) -> (..., V)."""
        if not self.config.tie_weights:
            return self.head(hidden)
        vectors = hidden.reshape(-1, self.config.embedding_dim)
        logits: Array = vectors @ self.token_embedding.weight.T
        return logits.reshape(*hidden.shape[:-1], self.config.vocabulary_size)

    def forward(
        self, tokens: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, ModelSaved]:
        """Score the next token at every position.

        Args:
            tokens: Token ids, (B, T), T at most `max_sequence_length`.
            rng: Given, the pass is for training and dropout draws from it.

        Returns:
            Logits (B, T, V), and what backward needs.

        Raises:
            ValueError: The tokens are not (B, T) ids of the vocabulary, or too many.
        """
        tokens = self.check_tokens(tokens)
        x, positions_saved = self.embed(tokens)
        x, dropout_saved = self.dropout.forward(x, rng=rng)
        blocks_saved = []
        for block in self.blocks:
            x, saved = block.forward(x, rng=rng)
            blocks_saved.append(saved)
        x, norm_saved = self.final_norm.forward(x)
        saved_all = ModelSaved(
            EmbeddingSaved(tokens), positions_saved, dropout_saved,
            tuple(blocks_saved), norm_saved, LinearSaved(x),
        )  # fmt: skip
        return self.unembed(x), saved_all

    def __call__(self, tokens: Array) -> Array:
        """Evaluate, (B, T) -> (B, T, V), letting go of each block's saved values at once."""
        tokens = self.check_tokens(tokens)
        x, _ = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.unembed(self.final_norm(x))

    def backward(self, grad_logits: Array, saved: ModelSaved) -> Gradients:  # type: ignore[override]
        """Carry the gradient of the loss back to every trainable parameter.

        Args:
            grad_logits: Slope of the loss with respect to the logits, (B, T, V).
            saved: What `forward` returned.

        Returns:
            One gradient a trainable parameter; token ids have none.
        """
        expected = (*saved.tokens.ids.shape, self.config.vocabulary_size)
        if grad_logits.shape != expected:
            raise ValueError(f"expected grad_logits of shape {expected}, got {grad_logits.shape}")
        # logits = unembed(x)
        grad, gradients = self.unembed_backward(grad_logits, saved.head)
        # x = final_norm(x)
        grad, gradients_norm = self.final_norm.backward(grad, saved.final_norm)
        gradients |= prefixed("final_norm", gradients_norm)
        # x = block(x), for each block in turn
        for i in reversed(range(len(self.blocks))):
            grad, gradients_block = self.blocks[i].backward(grad, saved.blocks[i])
            gradients |= prefixed(f"blocks.{i}", gradients_block)
        # x = dropout(embed(tokens))
        grad, _ = self.dropout.backward(grad, saved.dropout)
        return add_gradients(gradients, self.embed_backward(grad, saved))

    def unembed_backward(self, grad_logits: Array, saved: LinearSaved) -> tuple[Array, Gradients]:
        """Carry a gradient back through the head; a tied head's gradient is the embedding's."""
        if not self.config.tie_weights:
            grad_hidden, gradients_head = self.head.backward(grad_logits, saved)
            return grad_hidden, prefixed("head", gradients_head)
        weight = self.token_embedding.weight  # logits = hidden @ weight.T
        grad = grad_logits.reshape(-1, len(weight))
        gradients: Gradients = {}
        if self.token_embedding.trains("weight"):
            vectors = saved.input.reshape(-1, weight.shape[1])
            gradients["token_embedding.weight"] = grad.T @ vectors
        return (grad @ weight).reshape(saved.input.shape), gradients

    def embed_backward(self, grad: Array, saved: ModelSaved) -> Gradients:
        """Carry a gradient back to the token table, and to the position table if it is learned."""
        # x = token_embedding(tokens) + position_embedding(positions)
        _, gradients_tokens = self.token_embedding.backward(grad, saved.tokens)
        gradients = prefixed("token_embedding", gradients_tokens)
        if saved.positions is not None:
            # every sequence of the batch used the same rows, so their gradients add
            rows = grad.sum(axis=0)
            _, gradients_positions = self.position_embedding.backward(rows, saved.positions)
            gradients |= prefixed("position_embedding", gradients_positions)
        return gradients

    def check_tokens(self, tokens: Array, longest: int | None = None) -> Array:
        """Refuse what is not (B, T) token ids within the vocabulary and the context.

        Returns:
            The tokens as an array; lists of lists are taken too.

        Raises:
            ValueError: The shape, the dtype, the length or an id, as given.
        """
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or tokens.size == 0:
            raise ValueError(f"expected tokens of shape (B, T), neither 0, got {tokens.shape}")
        check_token_ids(tokens, self.config.vocabulary_size)
        longest = self.config.max_sequence_length if longest is None else longest
        if tokens.shape[1] > longest:
            raise ValueError(f"expected at most {longest} tokens, got {tokens.shape[1]}")
        return tokens

    def create_cache(self, batch_size: int) -> KVCache:
        """Make an empty cache for `extend`, with room for the longest context."""
        return KVCache(
            self.config.num_layers,
            batch_size=batch_size,
            num_heads=self.config.num_heads,
            max_sequence_length=self.config.max_sequence_length,
            head_dim=self.config.head_dim,
            dtype=self.config.dtype,
        )

    def extend(self, tokens: Array, cache: KVCache) -> Array:
        """Read new tokens after those in the cache.

        (B, T) -> (B, V), the logits of the last position

        Args:
            tokens: The new token ids only.
            cache: From `create_cache`; the new tokens are added to it.

        Raises:
            ValueError: The tokens do not fit the model or the cache; the cache is unchanged then.
        """
        tokens = self.check_tokens(tokens)
        start, count = cache.length, tokens.shape[1]
        if len(tokens) != cache.keys.shape[1]:
            raise ValueError(
                f"expected a batch of {cache.keys.shape[1]} as in the cache, got {len(tokens)}"
            )
        if start + count > cache.max_sequence_length:
            raise ValueError(
                f"expected at most {cache.max_sequence_length} tokens in all, got {start + count}"
            )
        x, _ = self.embed(tokens, start)
        for layer, block in enumerate(self.blocks):
            x = block.extend(x, cache, layer)
        cache.advance(count)
        return self.unembed(self.final_norm(x[:, -1]))

    def stream(
        self,
        tokens: Array,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        eos_id: int | None = None,
        rng: np.random.Generator | None = None,
        use_cache: bool = True,
    ) -> Iterator[Array]:
        """Write on from a prompt, one token a step for each row; see `generate`.

        Yields:
            Token ids, (B,).
        """
        tokens = self.check_prompt(tokens, max_new_tokens, temperature, top_k, top_p, eos_id)
        rng = np.random.default_rng() if rng is None else rng
        return self._stream(
            tokens, max_new_tokens, temperature, top_k, top_p, eos_id, rng, use_cache
        )

    def _stream(
        self,
        tokens: Array,
        max_new_tokens: int,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        eos_id: int | None,
        rng: np.random.Generator,
        use_cache: bool,
    ) -> Iterator[Array]:
        finished = np.zeros(len(tokens), bool)
        context, cache = tokens[:, -self.config.max_sequence_length :], None
        for _ in range(max_new_tokens):
            context, cache, logits = self._next_logits(context, cache, use_cache)
            token = choose_token(logits, temperature, top_k, top_p, rng)
            if eos_id is not None:
                token = np.where(finished, eos_id, token)
                finished = finished | (token == eos_id)
            yield token
            if finished.all():
                return
            context = np.concatenate([context, token[:, None]], axis=1)

    def _next_logits(
        self, context: Array, cache: KVCache | None, use_cache: bool
    ) -> tuple[Array, KVCache | None, Array]:
        # A full context goes on with its later half; every position changes, so the cache is void.
        longest = self.config.max_sequence_length
        if context.shape[1] > longest:
            context, cache = context[:, -max(longest // 2, 1) :], None
        if not use_cache:
            return context, None, self(context)[:, -1]
        if cache is None:
            cache = self.create_cache(len(context))
        return context, cache, self.extend(context[:, cache.length :], cache)

    def generate(
        self,
        tokens: Array,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        eos_id: int | None = None,
        rng: np.random.Generator | None = None,
        use_cache: bool = True,
    ) -> Array:
        """Write on from a prompt.

        (B, T) -> (B, T + up to max_new_tokens)

        Each step scores the next token, applies temperature, top-k and top-p in that order, and
        draws.
        When the context is full, generation goes on with its last `max_sequence_length // 2`
        tokens and a fresh cache; of a longer prompt the last `max_sequence_length` tokens are read.

        Args:
            tokens: The prompts, token ids, (B, T).
            max_new_tokens: How many tokens to write at the most.
            temperature: 0 always takes the likeliest token.
            top_k: Draw only from that many of the likeliest tokens.
            top_p: Draw only from the fewest tokens that together have this probability.
            eos_id: A row that has written this token is done and is filled up with it; when all
                rows are done, generation ends.
            rng: Draws the tokens; a fresh one unless given.
            use_cache: Whether to keep keys and values, or to compute everything again for each
                token; the result is the same but for rounding.

        Returns:
            The prompts with what was written after them.

        Raises:
            ValueError: An argument is out of its range.

        Examples:
            >>> model = GPTModel(GPTConfig(vocabulary_size=10), rng=np.random.default_rng(0))
            >>> prompt = np.array([[1, 2, 3]])
            >>> model.generate(prompt, 5, temperature=0).shape
            (1, 8)
        """
        stream = self.stream(
            tokens, max_new_tokens, temperature, top_k, top_p, eos_id, rng, use_cache
        )
        prompt = np.asarray(tokens, dtype=np.int64)
        return np.concatenate([prompt, *(token[:, None] for token in stream)], axis=1)

    def check_prompt(
        self,
        tokens: Array,
        max_new_tokens: int,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        eos_id: int | None,
    ) -> Array:
        """Refuse bad arguments of `generate` before the first token is computed.

        Returns:
            The prompt as an array.

        Raises:
            ValueError: The first argument that is out of its range.
        """
        tokens = self.check_tokens(tokens, longest=sys.maxsize)
        if isinstance(max_new_tokens, bool) or not isinstance(max_new_tokens, int | np.integer):
            raise ValueError(f"expected max_new_tokens to be an integer, got {max_new_tokens!r}")
        if max_new_tokens < 0:
            raise ValueError(f"expected max_new_tokens of 0 or more, got {max_new_tokens}")
        if eos_id is not None:
            check_token_ids(np.asarray(eos_id), self.config.vocabulary_size)
        # Try the settings on one harmless row.
        row = np.zeros((1, self.config.vocabulary_size), self.config.dtype)
        filter_logits(row, temperature, top_k, top_p)
        return tokens.astype(np.int64)


def check_loss_arguments(
    logits: Array, targets: Array, ignore_index: int | None, denominator: float | None
) -> tuple[Array, Array]:
    """Refuse bad arguments of the loss; return flat targets (ignored ones as 0) and what counts.

    Raises:
        ValueError: See `cross_entropy_loss`.
    """
    check_floating(logits)
    targets = np.asarray(targets)
    if logits.ndim < 1 or targets.shape != logits.shape[:-1]:
        raise ValueError(f"expected targets of shape {logits.shape[:-1]}, got {targets.shape}")
    if denominator is not None and not denominator > 0:
        raise ValueError(f"expected a positive denominator, got {denominator}")
    flat = targets.reshape(-1)
    counted = np.ones(flat.shape, bool) if ignore_index is None else flat != ignore_index
    places = np.where(counted, flat, 0)
    check_token_ids(places, logits.shape[-1])
    return places, counted


def cross_entropy_loss(
    logits: Array,
    targets: Array,
    ignore_index: int | None = None,
    denominator: float | None = None,
) -> tuple[float, Array]:
    r"""Measure the mean surprise at the tokens that came, and its slope.

    (..., V), (...) -> a number in nats, (..., V)

    $$L = \frac{1}{N} \sum_n \Bigl(\log \sum_v e^{z_{nv}} - z_{n,\,y_n}\Bigr), \qquad
      \frac{\partial L}{\partial z_{nv}} = \frac{p_{nv} - [v = y_n]}{N}$$

    Args:
        logits: Scores z of every token, at N places.
        targets: Ids y of the tokens that came.
        ignore_index: Places with this target count neither in the sum, nor in N, nor in the
            gradient.
        denominator: Divide by this instead of N, so that the losses and gradients of the pieces of
            a batch add up to those of the whole.

    Returns:
        The loss, 0 where no place counts, and its gradient with respect to the logits.

    Raises:
        ValueError: Shapes that do not fit, ids outside the vocabulary, or a denominator that is
            not positive.

    Reference:
        Shannon 1948, "A Mathematical Theory of Communication", for surprise as -log p.

    Examples:
        >>> logits = np.log([[1.0, 2.0, 5.0]])
        >>> loss, grad = cross_entropy_loss(logits, np.array([1]))
        >>> print(round(loss, 3), grad.round(3))
        1.386 [[ 0.125 -0.75   0.625]]
    """
    places, counted = check_loss_arguments(logits, targets, ignore_index, denominator)
    total = float(counted.sum()) if denominator is None else float(denominator)
    scores = logits.reshape(-1, logits.shape[-1])
    rows = np.arange(len(scores))
    # Subtract the largest score, so that no exponential overflows.
    exponentials: Array = scores - np.max(scores, axis=-1, keepdims=True)
    target_scores = exponentials[rows, places]
    np.exp(exponentials, out=exponentials)
    # A product with ones adds up long rows faster than np.sum.
    sums = exponentials @ np.ones(exponentials.shape[-1], logits.dtype)
    surprises: Array = np.where(counted, np.log(sums) - target_scores, 0)
    if not counted.any():
        return 0.0, np.zeros_like(logits)
    # grad = (p - one_hot(target)) / N, made in the array that holds the exponentials
    factors = counted.astype(logits.dtype) / total
    exponentials *= (factors / sums)[:, None]
    exponentials[rows, places] -= factors
    return float(np.sum(surprises)) / total, exponentials.reshape(logits.shape)


if __name__ == "__main__":
    from literategpt.demos.model import main

    main()
