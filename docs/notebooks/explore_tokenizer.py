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
# # Explore: a tokenizer
#
# An hour with the tokenizer of step 1, on a text of one line.
# Each question is asked before the cell that answers it: write down your guess, then run the cell.
# The solutions to the tasks stand at the end.

# %%
from literategpt import BPETokenizer

TEXT = "to be or not to be that is the question"

tokenizer = BPETokenizer()
tokenizer.train(TEXT, 30)
print(len(TEXT), "characters,", len(tokenizer), "entries in the vocabulary")

# %% [markdown]
# ## Which pieces were made?
#
# Four entries are special tokens, thirteen are the characters of the text, and the rest are merges.
# Guess the first merge: which two neighbours stand together most often?
# Merges do not cross words, and a space belongs to the word that follows it.

# %%
characters = sorted(set(TEXT))
print("characters:", characters)
print("merges:", [left + right for left, right in tokenizer.merges])
assert len(tokenizer) == 4 + len(characters) + len(tokenizer.merges)


# %% [markdown]
# ## Words it has seen, and words it has not
#
# `banana` is a new word, but every letter of it stands in the text.
# `zephyr` has three letters that the text has not.
# How many tokens will each of them take, and what comes back?


# %%
def show(text):
    """Print the tokens of a text, and what comes back of it."""
    ids = tokenizer.encode(text)
    pieces = [tokenizer.decode([token]) for token in ids]
    print(f"{text!r}: {len(ids)} tokens, {pieces}, back: {tokenizer.decode(ids)!r}")
    return pieces


assert show("to be") == ["to", " be"]
assert show("banana") == list("banana")
assert show("zephyr") == ["<UNK>", "e", "<UNK>", "h", "<UNK>", "r"]

# %% [markdown]
# A character that was never in the training text cannot be written down by this tokenizer: it
# becomes the unknown token, and is lost.
# Bytes in place of characters would lose nothing; step 1 shows that in depth.

# %% [markdown]
# ## More entries, fewer tokens
#
# With 17 entries there is no merge, and the 39 characters are 39 tokens.
# Guess the number of tokens at 21, 26, 30 and 41 entries before you look.

# %%
lengths = {}
for size in (17, 21, 26, 30, 41, 100):
    trained = BPETokenizer()
    trained.train(TEXT, size)
    lengths[size] = len(trained.encode(TEXT))
    print(f"asked for {size:3}, got {len(trained):3}: {lengths[size]:2} tokens")
assert lengths == {17: 39, 21: 30, 26: 25, 30: 21, 41: 10, 100: 10}

# %% [markdown]
# From 41 entries on nothing changes: every word is one token, merges do not cross words, and the
# training stops early.
# The step from 17 to 21 entries saves nine tokens, that from 26 to 30 four: the most frequent pairs
# come first.

# %% [markdown]
# ## Tasks
#
# 1. Find a text of your own with at least ten different letters in which no pair of neighbours
#    stands twice. What are its first three merges, and who chose them? (The vocabulary has room for
#    4 special tokens, the different characters, the space among them, and the merges.)
# 2. `To be` with a capital: how many tokens does it take, and why? Train on both spellings and
#    look again.
# 3. Write `tokens_for(size)`, the number of tokens of TEXT at a vocabulary of that size, and find
#    the smallest vocabulary with which TEXT takes at most 20 tokens.

# %% [markdown]
# ## Solutions

# %%
# 1. All pairs occur once, so the tie rule alone decides: the pair seen first is merged first.
alone = BPETokenizer()
alone.train("quick fjord", 4 + 11 + 3)
print([left + right for left, right in alone.merges])
assert alone.merges[0] == ("q", "u")

# %%
# 2. The capital T is unknown; with both spellings in the training text it is a character. There
# are three tokens either way, but none is lost now.
print(len(tokenizer.encode("To be")), len(tokenizer.encode("to be")))
both = BPETokenizer()
both.train(TEXT + " To be or not to be", 40)
print([both.decode([token]) for token in both.encode("To be")])
assert tokenizer.unk_id in tokenizer.encode("To be")
assert both.unk_id not in both.encode("To be")
assert len(both.encode("To be")) == len(tokenizer.encode("To be")) == 3


# %%
# 3.
def tokens_for(size):
    """Count the tokens of the text at a vocabulary of that size."""
    trained = BPETokenizer()
    trained.train(TEXT, size)
    return len(trained.encode(TEXT))


smallest = next(size for size in range(17, 42) if tokens_for(size) <= 20)
print("smallest vocabulary for 20 tokens:", smallest)
assert tokens_for(smallest - 1) > 20 >= tokens_for(smallest)
