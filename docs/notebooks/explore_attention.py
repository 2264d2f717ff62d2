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
# # Explore: attention
#
# Half an hour with the central function of step 4, on random queries, keys and values.
# Guess before you run each cell; the solutions to the tasks stand at the end.

# %%
import numpy as np

from literategpt import create_causal_mask, scaled_dot_product_attention, softmax

rng = np.random.default_rng(0)
query, key, value = rng.normal(size=(3, 1, 4, 8))  # one text, four tokens, eight numbers each
print(query.shape, key.shape, value.shape)

# %% [markdown]
# ## Without a mask
#
# What will each row of the weights sum to?
# Which of them can be exactly 0?

# %%
output, weights = scaled_dot_product_attention(query, key, value)
print(weights[0].round(3))
print("rows sum to", weights[0].sum(axis=-1).round(6))
print("smallest weight:", weights.min().round(3))
assert np.allclose(weights.sum(axis=-1), 1)
assert (weights > 0).all()

# %% [markdown]
# No weight is 0: softmax raises e to each score, and e to a finite score is above 0.
# The computer makes a 0 of it only where a score is so far below the largest of its row, which
# softmax takes away first, that the power, or its share of the total, is too small for the number
# format:

# %%
print("e to -745:", np.exp(-745.0), " e to -746:", np.exp(-746.0))
assert np.exp(-745.0) > 0 == np.exp(-746.0)

# %% [markdown]
# ## With the causal mask
#
# Before you run it, write down the first row.

# %%
mask = create_causal_mask(4)
causal_output, causal = scaled_dot_product_attention(query, key, value, mask)
print(causal[0].round(3))
assert (causal[0][~mask] == 0).all()
assert causal[0, 0, 0] == 1

# %% [markdown]
# The first token sees itself alone, so its row is 1, 0, 0, 0 whatever its query is.
# The forbidden weights are exactly 0, because e to minus infinity is 0.
# The last row is the same as without the mask: the last token may see everything anyway.

# %%
assert np.allclose(causal[0, 3], weights[0, 3])
assert np.allclose(causal_output[0, 3], output[0, 3])
print("last rows agree:", np.allclose(causal_output[0, 3], output[0, 3]))

# %% [markdown]
# ## How sharp?
#
# Multiply the queries by ten.
# What happens to the weights, and to what the last token takes?

# %%
_, sharp = scaled_dot_product_attention(10 * query, key, value, mask)
print(sharp[0].round(3))
print("largest of the last row:", causal[0, 3].max().round(3), "->", sharp[0, 3].max().round(3))
print("smallest of the last row:", sharp[0, 3].min())
assert sharp[0, 3].max() > causal[0, 3].max()
assert (sharp[0][mask] > 0).all()
assert np.allclose(sharp[0, 3] / sharp[0, 3].max(), (causal[0, 3] / causal[0, 3].max()) ** 10)

# %% [markdown]
# Scores are ten times as far apart, so the ratio of two weights is raised to the tenth power, and
# the last token takes practically one value alone.
# Its small weights are rounded to 0 in the print; those that the mask forbids are 0.

# %% [markdown]
# ## Tasks
#
# 1. Change the last token's key and value. Which rows of the causal output change?
# 2. Give all four tokens the same key. What are the weights, with the mask?
# 3. Write the function yourself with `softmax` and two matrix products, and compare.
# 4. Exchange the first two tokens (query, key and value). Without the mask, what happens to the
#    output? With it?

# %% [markdown]
# ## Solutions

# %%
# 1. Only the last row: no earlier token sees the last one.
changed_key, changed_value = key.copy(), value.copy()
changed_key[0, 3] += 1
changed_value[0, 3] -= 1
other, _ = scaled_dot_product_attention(query, changed_key, changed_value, mask)
print("rows that change:", np.flatnonzero(np.abs(other - causal_output)[0].max(axis=-1) > 1e-12))
assert np.array_equal(other[0, :3], causal_output[0, :3])

# %%
# 2. Equal keys give equal scores: each row shares out evenly among what it may see.
_, even = scaled_dot_product_attention(query, np.ones_like(key), value, mask)
print(even[0].round(3))
assert np.allclose(even[0], np.tri(4) / np.arange(1, 5)[:, None])


# %%
# 3.
def attention(query, key, value, mask):
    """Scores, scale, mask, softmax, mixture."""
    scores = query @ np.swapaxes(key, -1, -2) / np.sqrt(query.shape[-1])
    return softmax(np.where(mask, scores, -np.inf)) @ value


print("the same:", np.allclose(attention(query, key, value, mask), causal_output))
assert np.allclose(attention(query, key, value, mask), causal_output)

# %%
# 4. Without the mask the outputs are exchanged and nothing else; with it each of the two
# exchanged tokens sees another set of tokens than before, and the last two see the same sets.
order = [1, 0, 2, 3]
swapped, _ = scaled_dot_product_attention(query[:, order], key[:, order], value[:, order])
print("no mask, exchanged alike:", np.allclose(swapped, output[:, order]))
swapped, _ = scaled_dot_product_attention(query[:, order], key[:, order], value[:, order], mask)
print(
    "mask, rows that differ:",
    np.flatnonzero(np.abs(swapped - causal_output[:, order])[0].max(-1) > 1e-12),
)
assert np.allclose(swapped[:, 2:], causal_output[:, 2:])
