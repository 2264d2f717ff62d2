"""The demo of `literategpt.model`: count a GPT's parameters, train a small one, let it write."""

import math
from collections import defaultdict

import numpy as np

from literategpt.activations import softmax
from literategpt.demos.narration import (
    heading,
    number,
    power_of_ten,
    say,
    show,
    table,
    title,
    yes,
)
from literategpt.gradcheck import check_model, randomize_parameters
from literategpt.model import GPTConfig, GPTModel, cross_entropy_loss
from literategpt.optimizer import AdamW
from literategpt.tokenizer import BPETokenizer
from literategpt.types import Array

BOUND = 1e-6
SUB_LAYERS = ("attention", "feed_forward")
AXES = ("B, T", "B, T, C", "B, H, T, D", "B, H, T, T", "B, T, F", "B, T, C", "B, T, V", "B, T, V")
PASSAGE = "All the world's a stage, and all the men and women merely players"


def default_model() -> GPTModel:
    """Make an untrained model of the default configuration."""
    return GPTModel(GPTConfig(), rng=np.random.default_rng(0))


def small_model(**settings: object) -> GPTModel:
    """Make a float64 model that trains in a moment."""
    sizes = {"embedding_dim": 16, "num_heads": 2, "num_layers": 2, "feed_forward_dim": 32}
    config = GPTConfig(**(sizes | {"dtype": "float64"} | settings))  # type: ignore[arg-type]
    return GPTModel(config, rng=np.random.default_rng(0))


def some_batch(vocabulary_size: int, batch: int, time: int) -> tuple[Array, Array]:
    """Draw token ids, and as targets the same ids one place on."""
    tokens = np.random.default_rng(1).integers(vocabulary_size, size=(batch, time + 1))
    return tokens[:, :-1], tokens[:, 1:]


def kind_of(name: str) -> str:
    """Say which part of the model a parameter belongs to, all blocks together."""
    parts = name.split(".")
    return f"blocks: {parts[2]}" if parts[0] == "blocks" else parts[0]


def section_parameters() -> None:
    """Count the parameters of the default model by kind."""
    heading("Every number that training can adjust")
    model = default_model()
    counts: dict[str, int] = defaultdict(int)
    for name, array in model.named_parameters().items():
        counts[kind_of(name)] += array.size
    total = model.num_parameters()
    say("""The default configuration, its parameters sorted by where they are. The head that scores
        the tokens is not in the list: it uses the token table, turned on its side.""")
    table(
        {
            "part": [*counts, "all"],
            "parameters": [*counts.values(), total],
            "percent": [100 * count / total for count in [*counts.values(), total]],
        },
        digits=1,
    )
    config = model.config
    size, layers, entries = config.embedding_dim, config.num_layers, config.vocabulary_size
    formula = 12 * layers * size**2 + entries * size
    squares = [counts[f"blocks: {part}"] // (layers * size**2) for part in SUB_LAYERS]
    say(f"""Nearly all of them are in the formula `12 L C^2 + V C`: C by C numbers,
        {number(squares[0])} times in each attention and {number(squares[1])} times in each
        feed-forward network, and the table with V rows. With {number(layers)} blocks,
        C = {number(size)} and V = {number(entries)} it gives {number(formula)}; the other
        {number(total - formula)} are biases and norms.""")


def section_shapes() -> None:
    """Follow the shapes of one batch."""
    heading("The pipeline, by its shapes")
    model = default_model()
    tokens, _ = some_batch(model.config.vocabulary_size, batch=2, time=8)
    logits, saved = model.forward(tokens)
    block = saved.blocks[0]
    batch, time = tokens.shape
    say(f"""A batch of {number(batch)} sequences of {number(time)} tokens goes in; at every place a
        score for every possible next token comes out.""")
    steps = {
        "token ids": tokens,
        "embedded, with positions": block.input,
        "queries of a block": block.attention.query,
        "attention weights": block.attention.weights,
        "hidden units": block.feed_forward.hidden,
        "after the final norm": saved.head.input,
        "logits": logits,
        "probabilities": softmax(logits),
    }
    table(
        {
            "step": list(steps),
            "axes": AXES,
            "shape": [str(array.shape) for array in steps.values()],
        }
    )


def section_first_loss() -> None:
    """Compare the loss at step 0 with that of a uniform guess."""
    heading("The loss before any training")
    model = default_model()
    entries = model.config.vocabulary_size
    inputs, targets = some_batch(entries, batch=8, time=64)
    logits = model(inputs)
    loss, _ = cross_entropy_loss(logits, targets)
    half_variance = float(logits.astype("float64").var(axis=-1).mean()) / 2
    say(f"""A model that knows nothing should be as surprised as a die with {number(entries)} faces:
        the logarithm of {number(entries)}. The random logits of an untrained model cost a little
        more, about half their variance.""")
    show("ln of the vocabulary", math.log(entries), digits=2)
    show("half the variance", half_variance, digits=2)
    show("expected together", math.log(entries) + half_variance, digits=2)
    show("measured on random text", loss, digits=2)


def section_tied_head() -> None:
    """Add the two gradients of the shared table."""
    heading("One table, two gradients")
    model = small_model(vocabulary_size=6, embedding_dim=4, feed_forward_dim=8)
    inputs, targets = np.array([[0, 1, 2]]), np.array([[1, 2, 3]])
    logits, saved = model.forward(inputs)
    _, grad_logits = cross_entropy_loss(logits, targets)
    total = model.backward(grad_logits, saved)["token_embedding.weight"]
    _, head = model.unembed_backward(grad_logits, saved.head)
    from_head = head["token_embedding.weight"]
    from_lookup = total - from_head
    size, entries = model.config.embedding_dim, model.config.vocabulary_size
    say(f"""Take a model of {number(entries)} tokens and {number(size)} features. Its token table is
        used twice: to look up what was read, and to score what comes next. So it gets two
        gradients, and they add. The head scores every token, so every row gets a part from it, also
        rows of tokens that occur nowhere. The lookup reaches only rows that were read.""")
    table(
        {
            "token": range(len(total)),
            "read": [yes(token in inputs) for token in range(len(total))],
            "target": [yes(token in targets) for token in range(len(total))],
            "through the head": [yes(row.any()) for row in from_head],
            "through the lookup": [yes(np.abs(row).max() > BOUND) for row in from_lookup],
        }
    )
    separate = small_model(
        vocabulary_size=6, embedding_dim=4, feed_forward_dim=8, tie_weights=False
    )
    separate.token_embedding.weight[...] = model.token_embedding.weight
    difference = separate.num_parameters() - model.num_parameters()
    say(f"""A model of the same shape with a head of its own has {number(difference)} parameters
        more, {number(model.config.vocabulary_size)} times {number(model.config.embedding_dim)}.""")


def section_gradient_check() -> None:
    """Check every parameter of a small model by nudging."""
    heading("The whole model backwards, tried by nudging")
    model = small_model(vocabulary_size=7, embedding_dim=4, num_layers=1, feed_forward_dim=6)
    randomize_parameters(model, np.random.default_rng(2))
    inputs, targets = np.array([[3, 1, 3], [0, 5, 2]]), np.array([[1, 3, 6], [5, 2, 4]])
    check = check_model(model, inputs, targets)
    config = model.config
    say(f"""A model small enough for it: a vocabulary of {number(config.vocabulary_size)},
        {number(config.embedding_dim)} features, {number(config.num_heads)} heads,
        {number(config.feed_forward_dim)} hidden units, and a single block. Each of its
        {number(model.num_parameters())} numbers is moved up and down, and the change of
        the loss is compared with what backward says. The largest error of each of the
        {number(len(check.errors))} arrays counts, as a share of its largest gradient; where that is
        zero, as that of the key's bias is, both must be zero but for rounding.""")
    show(f"all below {power_of_ten(BOUND)}", yes(check.error < BOUND))


def memorise(model: GPTModel, ids: Array, steps: int) -> list[float]:
    """Train on one sequence, and return the loss before each step."""
    optimizer = AdamW(model.trainable_parameters(), learning_rate=0.01)
    inputs, targets = ids[:, :-1], ids[:, 1:]
    losses = []
    for _ in range(steps):
        logits, saved = model.forward(inputs)
        loss, grad_logits = cross_entropy_loss(logits, targets)
        optimizer.step(model.backward(grad_logits, saved))
        losses.append(loss)
    return losses


def written(model: GPTModel, tokenizer: BPETokenizer, prompt: Array, count: int) -> str:
    """Let the model write on greedily, and decode all of it."""
    return tokenizer.decode(model.generate(prompt, count, temperature=0)[0])


def section_memorise() -> None:
    """Train a small model on one passage until it knows it."""
    heading("A small model learns one line by heart")
    tokenizer = BPETokenizer()
    tokenizer.train(PASSAGE, 40)
    ids = np.array([tokenizer.encode(PASSAGE)])
    model = small_model(vocabulary_size=len(tokenizer), max_sequence_length=64)
    say(f"""The line is {PASSAGE!r}. A tokenizer with {number(len(tokenizer))} entries makes
        {number(ids.size)} tokens of it, and a model with {number(model.config.num_layers)} blocks,
        {number(model.config.embedding_dim)} features and {number(model.config.feed_forward_dim)}
        hidden units, {number(model.num_parameters())} parameters in all, is trained on them alone.
        The first test of every training loop: the loss must go to nearly zero.""")
    prompt = ids[:, :4]
    show("prompt", repr(tokenizer.decode(prompt[0])))
    new = 12
    say(f"Before training it writes, asked for {number(new)} tokens, each time the likeliest:")
    show("before training", repr(written(model, tokenizer, prompt, new)))
    losses = memorise(model, ids, steps=121)
    shown = range(0, len(losses), 20)
    table({"step": shown, "loss": [losses[step] for step in shown]}, digits=2)
    count = ids.size - prompt.shape[1]
    text = written(model, tokenizer, prompt, count)
    say(f"After training it writes, always taking the likeliest token: {text!r}.")
    show("the line, to the letter", yes(text == PASSAGE))
    slow = model.generate(prompt, count, temperature=0, use_cache=False)
    show("the same without a cache", yes((slow == ids).all()))


def main() -> None:
    """Build a model, count it, check it, train it, let it write."""
    title("Model: a whole GPT")
    section_parameters()
    section_shapes()
    section_first_loss()
    section_tied_head()
    section_gradient_check()
    section_memorise()
