"""A whole GPT in pure NumPy: every forward pass and every backward pass written by hand.

Everything public can be imported from here, `from literategpt import GPTModel`; a name is looked up
in its module when it is first used.
So importing the package alone does not import NumPy, and a script can still choose the number of
BLAS threads.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "activations": (
        "gelu", "gelu_backward", "gelu_gate", "relu", "relu_backward", "softmax",
        "softmax_backward",
    ),
    "layers": ("Dropout", "Embedding", "LayerNorm", "Linear", "Module", "PositionalEncoding"),
    "tokenizer": ("BPETokenizer",),
    "attention": (
        "KVCache", "MultiHeadAttention", "create_causal_mask", "scaled_dot_product_attention",
        "scaled_dot_product_attention_backward",
    ),
    "transformer": ("FeedForwardNetwork", "TransformerBlock"),
    "sampling": ("apply_temperature", "sample", "top_k_filter", "top_p_filter"),
    "model": ("GPTConfig", "GPTModel", "cross_entropy_loss"),
    "optimizer": ("AdamW", "clip_gradients", "cosine_schedule"),
    "utils": (
        "Checkpoint", "CheckpointError", "DataLoader", "TextDataset", "load_checkpoint",
        "save_checkpoint",
    ),
    "training": ("StepReport", "TrainingSettings", "batch_gradients", "evaluate", "train"),
    "lora": (
        "LoRALinear", "apply_lora", "load_adapter", "merge_lora", "remove_lora", "save_adapter",
        "unmerge_lora",
    ),
    "folding": ("FoldedModel", "can_fold"),
    "pretrained": ("adapter_path", "fables_path", "load_pretrained", "words_path"),
}  # fmt: skip
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605  a computed list keeps names and modules together


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name, and return what it names."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return [*__all__, "__version__"]
