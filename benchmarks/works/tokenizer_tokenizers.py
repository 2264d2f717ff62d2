"""Hugging Face's `tokenizers`, in Rust: GPT-2's cut into words, bytes, and our merges to encode."""

from collections.abc import Callable
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from benchmarks.works.tokenizer import learned, read_text

END = "<|endoftext|>"


def byte_level(model: models.BPE) -> Tokenizer:
    """Make a tokenizer that cuts text as GPT-2 does."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train(text: str, size: int) -> Tokenizer:
    """Learn merges."""
    tokenizer = byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[END],
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def prepare(path: str, size: int, task: str, characters: int | None = None) -> Callable[[], Any]:
    """Make the turn: "train", "encode" or "decode"."""
    text = read_text(path, characters)
    if task == "train":
        return lambda: train(text, size).get_vocab_size()
    ours = learned(text, size, "byte")
    tokenizer = byte_level(models.BPE(ours.vocabulary, ours.merges))
    if task == "encode":
        # The quicker of its two ways: it does not note where each token stands.
        return lambda: tokenizer.encode_batch_fast([text])[0].ids
    ids = tokenizer.encode(text).ids
    return lambda: tokenizer.decode(ids)
