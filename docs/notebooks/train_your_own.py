# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train your own, on your own text
#
# A small model on a text of your choice, with the same functions that trained the shipped model.
# As it stands the notebook uses the fables that come with the package, and trains for 200 steps, so
# that it runs in a few seconds. With `STEPS = 2000` and a text of a million characters it takes ten
# times as long, and most of what it writes is words.

# %%
from pathlib import Path

import numpy as np

from literategpt import AdamW, BPETokenizer, GPTConfig, GPTModel
from literategpt.pretrained import fables_path
from literategpt.training import TrainingSettings, evaluate, train
from literategpt.utils import DataLoader, TextDataset, load_checkpoint, save_checkpoint

TEXT = fables_path()  # put the path of your own UTF-8 text here
STEPS = 200

text = Path(TEXT).read_text(encoding="utf-8")
cut = int(0.9 * len(text))
train_text, validation_text = text[:cut], text[cut:]
print(f"{len(train_text):,} characters to train on, {len(validation_text):,} to judge by")

# %% [markdown]
# ## Tokens
#
# The tokenizer learns from the training part alone: the validation part stays unseen.
# A short text wants a small vocabulary, so that each token is met often.

# %%
tokenizer = BPETokenizer()
tokenizer.train(train_text, 400)
train_tokens = np.array(tokenizer.encode(train_text))
validation_tokens = np.array(tokenizer.encode(validation_text))
unknown = int((validation_tokens == tokenizer.unk_id).sum())
print(f"{len(train_tokens):,} tokens, {len(train_text) / len(train_tokens):.2f} characters each")
print("unknown characters in the validation part:", unknown)

# %% [markdown]
# ## A model and its data
#
# Before training, what will the loss be?
# A new model has no preference among 400 tokens, so its surprise is near ln 400, which is 5.99.

# %%
config = GPTConfig(
    vocabulary_size=len(tokenizer),
    max_sequence_length=64,
    embedding_dim=64,
    num_heads=4,
    num_layers=2,
    feed_forward_dim=256,
)
model = GPTModel(config, rng=np.random.default_rng(0))
optimizer = AdamW(model.trainable_parameters(), weight_decay=0.1)
dataset = TextDataset(train_tokens, config.max_sequence_length, stride=1)
loader = DataLoader(dataset, 8, drop_last=True, rng=np.random.default_rng(1))
before = evaluate(model, validation_tokens)
print(f"{model.num_parameters():,} parameters")
print(f"loss before training {before:.2f}, ln 400 = {np.log(400):.2f}")
assert abs(before - np.log(len(tokenizer))) < 0.2

# %% [markdown]
# ## Training
#
# `train` yields a report after each step.

# %%
settings = TrainingSettings(
    total_steps=STEPS, peak_learning_rate=3e-3, minimum_learning_rate=3e-5, warmup_steps=10
)
for report in train(model, optimizer, loader, settings=settings):
    if (report.step + 1) % (STEPS // 4) == 0:
        judged = evaluate(model, validation_tokens)
        print(f"step {report.step + 1}: loss {report.loss:.2f}, in validation {judged:.2f}")
after = evaluate(model, validation_tokens)
print(f"validation loss {before:.2f} -> {after:.2f}")
shares = np.unique(validation_tokens, return_counts=True)[1] / len(validation_tokens)
frequencies = -np.sum(shares * np.log(shares))
print(f"from frequencies alone, at best {frequencies:.2f}")
assert after < before - 1
assert after < frequencies - 0.3

# %% [markdown]
# ## Let it write
#
# After a few seconds of training it has learned which tokens are frequent, and something of which
# follow which: its loss is below what frequencies alone can reach.
# `temperature` is the subject of step 9; at 0.8 the likelier tokens are favoured a little.
# The prompt ends without a space, which belongs to the next word.

# %%
prompt = np.array([tokenizer.encode("The")])
written = model.generate(prompt, 60, temperature=0.8, rng=np.random.default_rng(0))
print(tokenizer.decode(written[0]))

# %% [markdown]
# ## Keep it
#
# One file holds the model and the tokenizer, so that you can write with it another day:
# `python -m literategpt.run_demo --checkpoint mine.npz --prompt "The"`.
# A run that is to be resumed also keeps the optimizer and its place in the data; step 8 shows that.

# %%
import tempfile

with tempfile.TemporaryDirectory() as directory:
    # Gone at the end of the cell; to keep it, take Path("mine.npz").
    path = Path(directory) / "mine.npz"
    save_checkpoint(path, model, tokenizer)
    again = load_checkpoint(path)
    same = all(
        np.array_equal(array, again.model.named_parameters()[name])
        for name, array in model.named_parameters().items()
    )
    print(f"{path.stat().st_size / 1e6:.1f} MB, the same numbers: {same}")
assert same

# %% [markdown]
# ## What to try
#
# - Your own text. The assertions and ln 400 belong to the fables; take them out where they do not
#   hold. Characters that stand in the validation part alone become unknown.
# - `STEPS = 500`: does the validation loss still fall at the end? If it rises while the training
#   loss falls, the model learns the text by heart; more text or `dropout=0.1` in `GPTConfig` helps.
# - A larger vocabulary. Losses per token cannot be compared then: multiply `after` by the tokens
#   that were predicted, `len(validation_tokens) - 1`, and divide by `len(validation_text)`. That
#   is the loss in nats per character, which can be.
# - The same work with a log, resuming and two processors is done by `train_pretrain`. Unless told
#   otherwise it trains a model of the shipped size for as many steps as fit into half an hour; this
#   trains one of the size here for 2,000 steps:
#   `python -m literategpt.train_pretrain --data my.txt --vocabulary-size 400 --context 64
#   --embedding-dim 64 --num-layers 2 --batch-size 8 --steps 2000`.
