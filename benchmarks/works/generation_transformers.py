"""`transformers` writes: the same weights in its GPT-2, through its `generate`."""

from collections.abc import Callable

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks.works.generation import model_and_prompt
from literategpt.model import GPTModel


def peer_model(model: GPTModel) -> GPT2LMHeadModel:
    """Put our weights into a GPT-2 of the same shape; its linear weights are (in, out), as ours."""
    config = model.config
    peer = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocabulary_size, n_positions=config.max_sequence_length,
            n_embd=config.embedding_dim, n_layer=config.num_layers, n_head=config.num_heads,
            n_inner=config.feed_forward_dim, bos_token_id=None, eos_token_id=None,
        )
    )  # fmt: skip
    ours = model.named_parameters()
    state = {
        "wte.weight": ours["token_embedding.weight"],
        "wpe.weight": model.positional_encoding.table * config.position_scale,
    }
    for kind in ("weight", "bias"):
        state[f"ln_f.{kind}"] = ours[f"final_norm.{kind}"]
        for i in range(config.num_layers):
            part = {
                name: ours[f"blocks.{i}.{name}.{kind}"]
                for name in (
                    "attention_norm", "attention.query", "attention.key", "attention.value",
                    "attention.output", "feed_forward_norm", "feed_forward.expand",
                    "feed_forward.contract",
                )
            }  # fmt: skip
            qkv = [part[f"attention.{name}"] for name in ("query", "key", "value")]
            state |= {
                f"h.{i}.ln_1.{kind}": part["attention_norm"],
                f"h.{i}.attn.c_attn.{kind}": np.concatenate(qkv, axis=-1),
                f"h.{i}.attn.c_proj.{kind}": part["attention.output"],
                f"h.{i}.ln_2.{kind}": part["feed_forward_norm"],
                f"h.{i}.mlp.c_fc.{kind}": part["feed_forward.expand"],
                f"h.{i}.mlp.c_proj.{kind}": part["feed_forward.contract"],
            }
    arrays = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
    peer.transformer.load_state_dict(arrays)
    return peer.eval()


def prepare(batch_size: int = 1, count: int = 200, threads: int = 1) -> Callable[[], list[int]]:
    """Make the turn of `transformers`: `count` tokens for each sequence, greedy."""
    torch.set_num_threads(threads)
    model, prompt = model_and_prompt(batch_size, None)
    peer, tokens = peer_model(model), torch.from_numpy(prompt)

    def write() -> list[int]:
        written = peer.generate(
            tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=count,
            do_sample=False, use_cache=True,
        )  # fmt: skip
        return list(written[0].tolist())

    return write
