"""LoRA: adapt a trained model by learning a small correction beside each frozen weight.

A weight W of (in, out) stays as it is.
Beside it two narrow matrices are trained, A of (in, r) and B of (r, out); their product is added
to W, times alpha / r.
B starts at zero, so the adapted model starts as the model it adapts, to the bit.

Run `python -m literategpt.lora` to take one first step by hand.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from literategpt.layers import Linear, LinearSaved, Module, check_positive, draw_weights
from literategpt.model import GPTModel
from literategpt.optimizer import check_same_arrays
from literategpt.types import Array, Gradients
from literategpt.utils import CheckpointError, copy_arrays, read_archive, write_archive

__all__ = [
    "LoRALinear",
    "apply_lora",
    "load_adapter",
    "merge_lora",
    "remove_lora",
    "save_adapter",
    "unmerge_lora",
]

TARGETS = ("query", "key", "value", "output", "expand", "contract")
"""The linear layers of a block that can be adapted, by name."""


class LoRALinear(Linear):
    r"""A linear layer whose weight is frozen, with a trainable correction of low rank.

    (..., in_features) -> (..., out_features)

    $$y = x W + b + \frac{\alpha}{r}\, (x A)\, B$$

    Papers that write vectors as columns call it $W + \frac{\alpha}{r} B A$; here vectors are rows.

    Args:
        linear: The layer to adapt; its arrays are used, not copied.
        rank: Number of columns of A and rows of B, r.
        alpha: The correction is multiplied by alpha / rank.
        rng: Draws A, normal with standard deviation 0.02.

    Attributes:
        weight: The base's weight, frozen; while merged, with the correction in it.
        bias: The base's bias, frozen.
        lora_a: (in_features, r).
        lora_b: (r, out_features), starts at zero.
        base: The base's weight while merged, otherwise None.

    Reference:
        Hu et al. 2021, arXiv:2106.09685, equation 3.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> layer = LoRALinear(Linear(2, 2, rng=rng, dtype="float64"), rank=1, alpha=2, rng=rng)
        >>> layer.lora_a[...] = 1
        >>> _, saved = layer.forward(np.array([[1.0, 2.0]]))
        >>> _, gradients = layer.backward(np.array([[1.0, -1.0]]), saved)
        >>> print(gradients["lora_a"].ravel(), gradients["lora_b"])  # B is 0: A cannot move yet
        [0. 0.] [[ 6. -6.]]
    """

    parameter_names = ("weight", "bias", "lora_a", "lora_b")

    def __init__(
        self, linear: Linear, rank: int = 4, alpha: float = 8, *, rng: np.random.Generator
    ) -> None:
        check_positive(rank=rank)
        if not 0.0 < alpha < float("inf"):
            raise ValueError(f"expected a finite alpha above 0, got {alpha}")
        self.weight, self.bias = linear.weight, linear.bias
        self.frozen_names = frozenset(("weight", "bias"))
        in_features, out_features = self.weight.shape
        self.lora_a = draw_weights(rng, (in_features, rank), self.weight.dtype.name)
        self.lora_b = np.zeros((rank, out_features), self.weight.dtype)
        self.alpha = float(alpha)
        self.base: Array | None = None

    @property
    def rank(self) -> int:
        """Number of columns of A."""
        return int(self.lora_a.shape[1])

    @property
    def factor(self) -> float:
        """What the correction is multiplied by, alpha / rank."""
        return self.alpha / self.rank

    def forward(
        self, x: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, LinearSaved]:
        """Add the correction to what the base says; once merged, the weight has it inside."""
        output, saved = super().forward(x)
        if self.base is None:
            output += (x @ self.lora_a) @ self.lora_b * self.factor
        return output, saved

    def backward(self, grad_output: Array, saved: LinearSaved) -> tuple[Array, Gradients]:
        r"""Carry a gradient back along the base and along the correction.

        $$\frac{\partial L}{\partial A} = \frac{\alpha}{r}\, x^\top (g B^\top), \qquad
          \frac{\partial L}{\partial B} = \frac{\alpha}{r}\, (x A)^\top g$$

        $$\frac{\partial L}{\partial x} = g W^\top
          + \frac{\alpha}{r}\, (g B^\top) A^\top$$

        The products are taken from the narrow side: no matrix of the weight's size is made.
        As long as B is zero, A has no gradient and B has one.

        Args:
            grad_output: Slope of the loss with respect to the output, (..., out_features).
            saved: What `forward` returned.

        Returns:
            The slope with respect to the input, and the gradients of A and B.

        Raises:
            ValueError: The correction is merged: training it would not change the weight.
        """
        if self.base is not None:
            raise ValueError("expected an unmerged layer to train, got a merged one; unmerge_lora")
        grad_input, gradients = super().backward(grad_output, saved)
        x = saved.input.reshape(-1, self.lora_a.shape[0])
        grad = grad_output.reshape(-1, self.lora_b.shape[1]) * self.factor
        # output += (x @ lora_a) @ lora_b * factor
        grad_reduced = grad @ self.lora_b.T
        if self.trains("lora_a"):
            gradients["lora_a"] = x.T @ grad_reduced
        if self.trains("lora_b"):
            gradients["lora_b"] = (x @ self.lora_a).T @ grad
        grad_input += (grad_reduced @ self.lora_a.T).reshape(grad_input.shape)
        return grad_input, gradients

    def merge(self) -> None:
        """Add the correction to the weight, keeping the base aside."""
        if self.base is not None:
            raise ValueError("expected an unmerged layer, got one that is merged already")
        self.base = self.weight.copy()
        self.weight += (self.lora_a @ self.lora_b) * self.factor

    def unmerge(self) -> None:
        """Put the base back, to the bit."""
        if self.base is None:
            raise ValueError("expected a merged layer, got one that is not")
        self.weight[...] = self.base
        self.base = None


def lora_layers(module: Module, prefix: str = "") -> Iterator[tuple[str, Module, str, LoRALinear]]:
    """Yield each adapted layer: its dotted name, the module it is in, its name there, itself."""
    for name, child in module.children():
        if isinstance(child, LoRALinear):
            yield f"{prefix}{name}", module, name, child
        else:
            yield from lora_layers(child, f"{prefix}{name}.")


def adapted_layers(model: GPTModel) -> list[LoRALinear]:
    """List the adapted layers of a model.

    Raises:
        ValueError: There are none.
    """
    layers = [layer for _, _, _, layer in lora_layers(model)]
    if not layers:
        raise ValueError("expected a model with LoRA layers, got one without; apply_lora")
    return layers


def apply_lora(
    model: GPTModel,
    rank: int = 4,
    alpha: float = 8,
    targets: tuple[str, ...] = ("query", "value"),
    *,
    rng: np.random.Generator,
) -> None:
    """Put a correction beside each target layer of every block, in place, and freeze all else.

    Args:
        model: Has no LoRA layers yet.
        rank: Width of the corrections, r.
        alpha: The corrections are multiplied by alpha / rank.
        targets: Which layers: "query", "key", "value", "output" of the attention, "expand" and
            "contract" of the feed-forward network.
        rng: Draws the matrices A.

    Raises:
        ValueError: An unknown or missing target, a rank or alpha out of range, or a model that is
            adapted already; nothing is changed then.

    Reference:
        Hu et al. 2021, arXiv:2106.09685, section 4.2, for query and value as targets.

    Examples:
        >>> from literategpt.model import GPTConfig
        >>> model = GPTModel(GPTConfig(), rng=np.random.default_rng(0))
        >>> apply_lora(model, rng=np.random.default_rng(1))
        >>> sum(array.size for array in model.trainable_parameters().values())
        8192
    """
    unknown = [target for target in targets if target not in TARGETS]
    if unknown or not targets or len(set(targets)) != len(targets):
        raise ValueError(f"expected different targets among {TARGETS}, got {tuple(targets)}")
    if any(lora_layers(model)):
        raise ValueError("expected a model without LoRA layers, got one with; remove_lora first")
    # Make every layer before the first is put in place: a bad argument must change nothing.
    layers = []
    for block in model.blocks:
        for parent in (block.attention, block.feed_forward):
            for name, child in parent.children():
                if name in targets and isinstance(child, Linear):
                    layers.append((parent, name, LoRALinear(child, rank, alpha, rng=rng)))
    model.freeze()
    for parent, name, layer in layers:
        setattr(parent, name, layer)


def merge_lora(model: GPTModel) -> None:
    """Add every correction to its weight: the same result but for rounding, with no extra work.

    Raises:
        ValueError: There is no LoRA layer, or they are merged already.

    Examples:
        >>> from literategpt.model import GPTConfig
        >>> rng = np.random.default_rng(0)
        >>> model = GPTModel(GPTConfig(), rng=rng)
        >>> apply_lora(model, rng=rng)
        >>> merge_lora(model)
        >>> merge_lora(model)
        Traceback (most recent call last):
            ...
        ValueError: expected an unmerged layer, got one that is merged already
    """
    for layer in adapted_layers(model):
        layer.merge()


def unmerge_lora(model: GPTModel) -> None:
    """Take every correction out of its weight again; the base is back to the bit.

    Raises:
        ValueError: There is no LoRA layer, or they are not merged.

    Examples:
        >>> from literategpt.model import GPTConfig
        >>> rng = np.random.default_rng(0)
        >>> model = GPTModel(GPTConfig(), rng=rng)
        >>> apply_lora(model, rng=rng)
        >>> model.blocks[0].attention.query.lora_b[...] = 1
        >>> before = model.blocks[0].attention.query.weight.copy()
        >>> merge_lora(model)
        >>> bool((model.blocks[0].attention.query.weight == before).all())
        False
        >>> unmerge_lora(model)
        >>> bool((model.blocks[0].attention.query.weight == before).all())
        True
    """
    for layer in adapted_layers(model):
        layer.unmerge()


def remove_lora(model: GPTModel) -> None:
    """Put plain layers back in place, all trainable again.

    If the corrections are merged, the weights keep them: the model is now an ordinary, adapted one.
    If not, it is the base again, to the bit.

    Raises:
        ValueError: There is no LoRA layer.

    Examples:
        >>> from literategpt.model import GPTConfig
        >>> rng = np.random.default_rng(0)
        >>> model = GPTModel(GPTConfig(), rng=rng)
        >>> apply_lora(model, rng=rng)
        >>> model.num_parameters()
        1057536
        >>> remove_lora(model)
        >>> model.num_parameters()
        1049344
    """
    adapted_layers(model)
    for _, parent, name, layer in list(lora_layers(model)):
        plain = Linear.__new__(Linear)
        plain.weight, plain.bias = layer.weight, layer.bias
        setattr(parent, name, plain)
    model.unfreeze()


def base_hash(model: GPTModel) -> str:
    """Hash the configuration and every parameter of the base, without corrections."""
    parameters = {n: a for n, a in model.named_parameters().items() if ".lora_" not in n}
    for name, _, _, layer in lora_layers(model):
        if layer.base is not None:
            parameters[f"{name}.weight"] = layer.base
    shape = {k: v for k, v in model.config.to_dict().items() if k != "dropout"}
    digest = hashlib.sha256(repr(sorted(shape.items())).encode("utf-8"))
    for name in sorted(parameters):
        digest.update(name.encode("utf-8") + np.ascontiguousarray(parameters[name]).tobytes())
    return digest.hexdigest()


ADAPTER_FORMAT = "literategpt adapter 1"


def lora_arrays(model: GPTModel) -> dict[str, Array]:
    """List the matrices A and B of every adapted layer."""
    return {n: a for n, a in model.named_parameters().items() if ".lora_" in n}


def save_adapter(path: Path | str, model: GPTModel, *, precision: str | None = None) -> None:
    """Write the corrections, and which base they belong to, to one small file.

    Args:
        path: Where to write; the name is used as it is.
        model: Has LoRA layers.
        precision: "float16" halves the corrections of a float32 model; loading gives the rounded
            values.

    Raises:
        ValueError: There is no LoRA layer.
        OSError: The file cannot be written.

    Examples:
        >>> from literategpt.model import GPTConfig
        >>> import tempfile
        >>> rng = np.random.default_rng(0)
        >>> model = GPTModel(GPTConfig(), rng=rng)
        >>> apply_lora(model, rng=rng)
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = Path(directory) / "adapter.npz"
        ...     save_adapter(path, model)
        ...     path.stat().st_size < 60_000  # the model itself has 4 MB
        True
    """
    layers = adapted_layers(model)
    header = {
        "rank": layers[0].rank,
        "alpha": layers[0].alpha,
        "targets": sorted({name for _, _, name, _ in lora_layers(model)}),
        "base": base_hash(model),
    }
    arrays = lora_arrays(model)
    if precision is not None:
        arrays = {name: array.astype(precision) for name, array in arrays.items()}
    write_archive(path, ADAPTER_FORMAT, header, arrays)


def load_adapter(path: Path | str, model: GPTModel) -> None:
    """Put the corrections of a file on a model, in place of any it has.

    Args:
        path: What `save_adapter` wrote.
        model: The base that the adapter was trained on, with or without LoRA layers.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is damaged or something else, or belongs to another base; the
            model is unchanged then.
        ValueError: The model's present corrections are merged.

    Examples:
        >>> from literategpt.model import GPTConfig
        >>> import tempfile
        >>> rng = np.random.default_rng(0)
        >>> model = GPTModel(GPTConfig(), rng=rng)
        >>> apply_lora(model, rng=rng)
        >>> other = GPTModel(GPTConfig(), rng=rng)  # drawn after the first, so another base
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     save_adapter(f"{directory}/adapter.npz", model)
        ...     try:
        ...         load_adapter(f"{directory}/adapter.npz", other)
        ...     except CheckpointError as error:
        ...         print(str(error)[-43:])
        was trained on another base than this model
    """
    header, arrays = read_archive(path, ADAPTER_FORMAT)
    if any(layer.base is not None for _, _, _, layer in lora_layers(model)):
        raise ValueError("expected a model whose LoRA layers are not merged; unmerge_lora first")
    if header.get("base") != base_hash(model):
        raise CheckpointError(f"the adapter in {path} was trained on another base than this model")
    trial = GPTModel(model.config, rng=np.random.default_rng(0))
    try:
        rank, alpha, targets = header["rank"], header["alpha"], tuple(header["targets"])
        apply_lora(trial, rank, alpha, targets, rng=np.random.default_rng(0))
        check_same_arrays(lora_arrays(trial), arrays, "stored matrix")
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not hold a valid adapter: {error}") from error
    if any(lora_layers(model)):
        remove_lora(model)
    apply_lora(model, rank, alpha, targets, rng=np.random.default_rng(0))
    copy_arrays(arrays, lora_arrays(model))


if __name__ == "__main__":
    from literategpt.demos.lora import main

    main()
