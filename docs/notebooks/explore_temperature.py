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
# # Explore: temperature
#
# The shipped model continues `The king` at four temperatures.
# You can judge a sample by eye, but a sample is one draw; so 50 are measured.
# Step 9 explains what temperature does to one choice.

# %%
import re

import numpy as np

from literategpt import load_pretrained, softmax, words_path

model, tokenizer = load_pretrained()
prompt = np.array([tokenizer.encode("The king")])
TEMPERATURES = (0.1, 0.5, 1.0, 2.0)

for temperature in TEMPERATURES:
    written = model.generate(prompt, 20, temperature, rng=np.random.default_rng(0))
    print(f"{temperature}: {tokenizer.decode(written[0])!r}")


# %% [markdown]
# ## Fifty of each
#
# Three measures, none of which says which temperature is best:
#
# - **Surprise**: how surprised the model itself is by what it wrote, in nats per token; whatever
#   the temperature of writing, it is measured with the probabilities of temperature 1. Guess: does
#   it rise or fall with the temperature?
# - **Repeated pairs**: the share of pairs of neighbouring words that stood in the same text before;
#   names of speakers come again in good text too.
# - **Words of the plays**: the share of the words that stand in one of the plays; whether they fit
#   where they are written is not asked. Guess: which share is left at 2.0?


# %%
def write(temperature, count=50, tokens=20):
    """Write many continuations at once; every row draws for itself."""
    prompts = prompt.repeat(count, axis=0)
    return model.generate(prompts, tokens, temperature, rng=np.random.default_rng(1))


def surprise(texts):
    """Mean surprise at the written tokens, in nats, with the probabilities of temperature 1."""
    start = prompt.shape[1]
    p = softmax(model(texts[:, :-1])[:, start - 1 :].astype("float64"))
    return -np.log(np.take_along_axis(p, texts[:, start:, None], -1)).mean()


def words(texts):
    """The words of each text after the prompt, but for the first and last, which may be cut."""
    start = prompt.shape[1]
    decoded = (tokenizer.decode(row[start:]).lower() for row in texts)
    return [re.findall(r"[a-z]+(?:'[a-z]+)*", text)[1:-1] for text in decoded]


def repeated_pairs(texts):
    """The share of pairs of words that stood in the same text before."""
    pairs = [list(zip(row, row[1:])) for row in words(texts)]
    return 1 - sum(len(set(row)) for row in pairs) / sum(len(row) for row in pairs)


in_the_plays = set(words_path().read_text(encoding="utf-8").split())
print(len(in_the_plays), "different words in the plays")


def words_of_the_plays(texts):
    """The share of words that stand in a play."""
    found = [word in in_the_plays for row in words(texts) for word in row]
    return sum(found) / len(found)


print("temperature surprise repeated of plays")
measured = {}
for temperature in TEMPERATURES:
    texts = write(temperature)
    measured[temperature] = surprise(texts), repeated_pairs(texts), words_of_the_plays(texts)
    first, second, third = measured[temperature]
    print(f"{temperature:11} {first:8.2f} {second:8.1%} {third:8.1%}")

surprises = [row[0] for row in measured.values()]
assert surprises == sorted(surprises)
shares = [row[2] for row in measured.values()]
assert shares == sorted(shares, reverse=True)
assert shares[0] == 1
assert 0.7 < shares[-1] < 0.8
assert measured[0.1][1] > 10 * measured[2.0][1]

# %% [markdown]
# Surprise rises with the temperature, and the share of words that stand in the plays falls.
# At 2.0 about a quarter of the words stand in no play. Here are the first of them, and how many of
# all are more than one token:

# %%
elsewhere = [word for row in words(texts) for word in row if word not in in_the_plays]
print(*elsewhere[:16])
pieces = [len(tokenizer.encode(" " + word)) for word in elsewhere]
print(f"{sum(count > 1 for count in pieces)} of {len(elsewhere)} are more than one token")
assert sum(count > 1 for count in pieces) > len(elsewhere) / 2

# %% [markdown]
# Most were put together from pieces; a word may also be a good one that the plays do not have.
#
# The lowest surprise is not coherence: at 0.1 every word is real, but the texts repeat the model's
# commonest phrases, and a phrase that is likely everywhere says little about what stands before it.

# %% [markdown]
# ## Tasks
#
# 1. Compare the surprise at 1.0 with the mean entropy of the predictions along the same texts; take
#    200 of them, since with 50 the two can differ by a tenth of a nat or two.
#    Why should they agree?
# 2. Write 50 texts greedily. How many different ones are there?
# 3. Find a temperature at which the surprise of the written text equals that of Shakespeare's own
#    line `Put out the light, and then put out the light:` to within a fifth of a nat.

# %% [markdown]
# ## Solutions

# %%
# 1. Entropy is the surprise to expect where a token is drawn with these probabilities, and at
# temperature 1 each is; so they agree on average, the better the more texts there are.
texts = write(1.0, count=200)
p = softmax(model(texts[:, :-1])[:, prompt.shape[1] - 1 :].astype("float64"))
entropy = -np.sum(p * np.log(p), axis=-1).mean()
print(f"surprise {surprise(texts):.2f}, entropy {entropy:.2f}")
assert abs(surprise(texts) - entropy) < 0.1

# %%
# 2. One: nothing is drawn.
greedy = write(0)
print("different greedy texts:", len({tuple(row) for row in greedy}))
assert len({tuple(row) for row in greedy}) == 1

# %%
# 3. Surprise rises with the temperature, but for the chance of the draw, so halve the interval.
line = np.array([tokenizer.encode("Put out the light, and then put out the light:")])
p = softmax(model(line[:, :-1])[0].astype("float64"))
wanted = -np.log(p[np.arange(line.shape[1] - 1), line[0, 1:]]).mean()
low, high = 0.1, 2.0
for _ in range(5):
    middle = (low + high) / 2
    low, high = (middle, high) if surprise(write(middle, 200)) < wanted else (low, middle)
print(f"Shakespeare {wanted:.2f}, temperature {middle:.2f}: {surprise(write(middle, 200)):.2f}")
assert abs(surprise(write(middle, 200)) - wanted) < 0.2
