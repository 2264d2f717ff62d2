"""How many tokens? `python -m experiments.vocabulary_size`, about 6 minutes.

Question: what does a larger vocabulary do to the length of a text in tokens, and does a model
learn better with it?

Varied: the vocabulary, from single characters (66 with the special tokens) to 4,000 entries, and
what the runs have in common: all read equally many characters, or all do equally much arithmetic.
The run on single characters sets both budgets, so it is the same for both.

Fixed: all else, see `Plan`; its 650 steps are those of the run on single characters, the others
have as many as their budget allows.
A context has 64 tokens in all of them, so a larger vocabulary sees more of the text at once.

Measured: the validation loss in bits per character, since nats per token of different tokens
cannot be compared; tokens of both texts; parameters and arithmetic of a token.
Arithmetic is counted as six operations for each weight of a matrix, the head included, and twelve
for each number of attention's two products, T x C in each layer.
"""

from dataclasses import replace

from experiments.small import Ablation, Data, Plan, Tables, grid, load_data, run
from experiments.small import adapt as put_in
from experiments.tables import Row

CHARACTERS = 66
"""Entries of a vocabulary without merges: 62 characters and four special tokens."""


def operations(plan: Plan, data: Data) -> int:
    """Count the arithmetic of one token in training: forward, and twice that for backward."""
    size, depth = plan.embedding_dim, plan.num_layers
    matrices = 12 * depth * size * size + len(data.tokenizer) * size
    return 6 * matrices + 12 * depth * plan.context * size


def characters_per_token(plan: Plan, data: Data) -> float:
    """Return the mean length of a token in the training text."""
    return plan.training_characters / len(data.training)


def cost(plan: Plan, budget: str) -> float:
    """Return what a token takes from a budget: its characters, or its arithmetic."""
    data = load_data(plan)
    return characters_per_token(plan, data) if budget == "characters" else operations(plan, data)


def adapt(plan: Plan, variant: Row) -> Plan:
    """Give a vocabulary as many steps as its budget allows."""
    plan, budget = put_in(plan, variant), variant["budget"]
    if budget == "both":
        return plan
    whole = plan.steps * cost(replace(plan, vocabulary_size=CHARACTERS), budget)
    return replace(plan, steps=max(1, round(whole / cost(plan, budget))))


def count(plan: Plan) -> Row:
    """Measure what a vocabulary does to the texts and to the model."""
    data = load_data(plan)
    length = characters_per_token(plan, data)
    config = plan.config(len(data.tokenizer))
    return {
        "vocabulary_size": plan.vocabulary_size,
        "training_tokens": len(data.training),
        "validation_tokens": len(data.validation),
        "characters_per_token": length,
        "characters_in_context": length * plan.context,
        "embedding_parameters": config.vocabulary_size * config.embedding_dim,
        "operations_per_token": operations(plan, data),
    }


def measure(ablation: Ablation, tables: Tables) -> Tables:
    """Make the table of what each vocabulary does to the texts."""
    sizes = dict.fromkeys(variant["vocabulary_size"] for variant in ablation.variants)
    return {"_tokens": [count(replace(ablation.plan, vocabulary_size=size)) for size in sizes]}


ABLATION = Ablation(
    name="vocabulary_size",
    plan=Plan(steps=650, curve_every=25),
    variants=[
        *grid(vocabulary_size=[CHARACTERS], budget=["both"]),
        *grid(vocabulary_size=[256, 512, 1000, 2000, 4000], budget=["characters", "compute"]),
    ],
    adapt=adapt,
    measure=measure,
)

if __name__ == "__main__":
    run(ABLATION)
