"""How a model is changed: clip the gradients, choose the learning rate, take a step of AdamW.

Gradients and the optimizer are the two places of the package where arrays are changed in place.

Run `python -m literategpt.optimizer` to watch three parameters take a step.
"""

import math
from typing import Any

import numpy as np

from literategpt.types import Array, Gradients

__all__ = ["AdamW", "clip_gradients", "cosine_schedule"]


def cosine_schedule(
    step: int, *, peak: float, warmup_steps: int, total_steps: int, minimum: float = 0.0
) -> float:
    r"""Return the learning rate of a step: a straight rise to the peak, then half a cosine down.

    While warming up, step s has the rate peak (s + 1) / warmup_steps: above 0 at step 0, and the
    peak itself at the last step of the warm-up.
    From there it falls, and is exactly `minimum` at the last step, total_steps - 1, and after it.
    A run that is all warm-up only rises; a run without one starts at the peak.

    Args:
        step: Number of the step, from 0.
        peak: The highest learning rate.
        warmup_steps: Length of the rise, from 0 to total_steps.
        total_steps: Length of the run.
        minimum: The rate at the end, at most `peak`.

    Returns:
        The learning rate.

    Raises:
        ValueError: A number is out of its range.

    Reference:
        Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, without restarts.

    Examples:
        >>> rates = [cosine_schedule(s, peak=1.0, warmup_steps=2, total_steps=6) for s in range(6)]
        >>> print([round(rate, 3) for rate in rates])
        [0.5, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if step < 0 or total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError(
            f"expected 0 <= warmup_steps <= total_steps and step >= 0, got warmup_steps="
            f"{warmup_steps}, total_steps={total_steps}, step={step}"
        )
    if not 0.0 <= minimum <= peak or not math.isfinite(peak):
        raise ValueError(f"expected 0 <= minimum <= peak, got {minimum} and {peak}")
    if step < warmup_steps:
        return peak * ((step + 1) / warmup_steps)
    peak_step = max(warmup_steps - 1, 0)
    last_step = total_steps - 1
    if last_step <= peak_step:
        return peak if step <= last_step else minimum
    progress = min((step - peak_step) / (last_step - peak_step), 1.0)
    share = 0.5 * (1.0 + math.cos(math.pi * progress))
    return share * peak + (1.0 - share) * minimum


def euclidean_norm(array: Array) -> float:
    """Return the length of an array as one long vector; infinite or NaN only if a number is.

    Examples:
        >>> round(euclidean_norm(np.array([3e25, 4e25], "float32")) / 1e25, 3)
        5.0
    """
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(array))
    if not math.isfinite(norm) and np.isfinite(array).all():
        # Only the squares are too large: measure in units of the largest number.
        largest = float(np.max(np.abs(array)))
        norm = largest * float(np.linalg.norm(array / largest))
    return norm


def clip_gradients(gradients: Gradients, max_norm: float) -> float:
    r"""Shorten all gradients together, in place, if they are longer than `max_norm`.

    $$g \leftarrow g \cdot \min\!\left(1, \frac{\text{max norm}}{\lVert g \rVert}\right)$$

    All tensors count as one long vector, so its direction stays.

    Args:
        gradients: One array a parameter; changed in place.
        max_norm: The longest that is allowed, above 0; infinity only measures.

    Returns:
        The length before clipping.

    Raises:
        ValueError: `max_norm` is not above 0, or the length is not finite; the gradients are
            unchanged then.

    Reference:
        Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063, algorithm 1.

    Examples:
        >>> gradients = {"a": np.array([3.0]), "b": np.array([[4.0]])}
        >>> clip_gradients(gradients, 1.0)
        5.0
        >>> print(gradients["a"].round(3), gradients["b"].round(3))
        [0.6] [[0.8]]
    """
    if not max_norm > 0:
        raise ValueError(f"expected max_norm above 0, got {max_norm}")
    norms = {name: euclidean_norm(gradient) for name, gradient in gradients.items()}
    norm = math.hypot(*norms.values())
    if not math.isfinite(norm):
        name = next(name for name, value in norms.items() if not math.isfinite(value))
        raise ValueError(f"expected finite gradients, got a norm of {norms[name]} in {name}")
    if norm > max_norm:
        for gradient in gradients.values():
            gradient *= max_norm / norm
    return norm


def check_rate(name: str, value: float) -> None:
    """Refuse a rate that is negative or not finite.

    Raises:
        ValueError: Its name and value.
    """
    if not 0.0 <= value < math.inf:
        raise ValueError(f"expected a finite {name} of 0 or above, got {value}")


def check_same_arrays(expected: dict[str, Array], given: dict[str, Array], what: str) -> None:
    """Refuse a dictionary whose names or shapes differ from those of another.

    Raises:
        ValueError: Which name is missing or too many, or which shape differs.

    Examples:
        >>> check_same_arrays({"w": np.zeros(3)}, {"w": np.zeros(2)}, "gradient")
        Traceback (most recent call last):
            ...
        ValueError: expected a gradient of shape (3,) for w, got (2,)
    """
    if missing := expected.keys() - given.keys():
        raise ValueError(f"expected a {what} for {min(missing)}, got none")
    if surplus := given.keys() - expected.keys():
        raise ValueError(f"expected no {what} for {min(surplus)}, got one")
    for name, array in expected.items():
        if given[name].shape != array.shape:
            raise ValueError(
                f"expected a {what} of shape {array.shape} for {name}, got {given[name].shape}"
            )


class AdamW:
    r"""Step each parameter by its own measure: the mean slope over the slope's usual size.

    $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2$$

    $$\theta \leftarrow \theta - \eta \lambda\, \theta
      - \eta\, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}$$

    Weight decay $\lambda$ pulls on the parameter itself and not through the gradient; it acts on
    arrays of two or more dimensions, so not on biases and not on the norms.
    As in PyTorch it is multiplied by the whole learning rate; in the paper by the schedule alone,
    without the peak.

    Args:
        parameters: The arrays to change, as `trainable_parameters()` lists them.
        learning_rate: $\eta$, unless `step` is given another.
        betas: $\beta_1$ and $\beta_2$, each in [0, 1).
        eps: $\epsilon$, outside the root, as in the paper.
        weight_decay: $\lambda$.

    Raises:
        ValueError: A number is out of its range.

    Reference:
        Kingma and Ba 2015, arXiv:1412.6980, algorithm 1; Loshchilov and Hutter 2019,
        arXiv:1711.05101, algorithm 2.

    Examples:
        >>> weights = {"w": np.zeros(3)}
        >>> optimizer = AdamW(weights, learning_rate=0.001)
        >>> optimizer.step({"w": np.array([100.0, 1.0, 0.01])})
        >>> print(weights["w"])  # the first step is as long for small gradients as for large ones
        [-0.001 -0.001 -0.001]
    """

    def __init__(
        self,
        parameters: dict[str, Array],
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
    ) -> None:
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError(f"expected betas in [0, 1), got {betas}")
        check_rate("learning_rate", learning_rate)
        check_rate("weight_decay", weight_decay)
        if not 0.0 < eps < math.inf:
            raise ValueError(f"expected a finite eps above 0, got {eps}")
        self.parameters = parameters
        # Python floats: a NumPy float64 scalar would turn float32 arrays into float64.
        self.learning_rate = float(learning_rate)
        self.betas = (float(betas[0]), float(betas[1]))
        self.eps = float(eps)
        self.weight_decay = float(weight_decay)
        self.step_count = 0
        self.first_moment = {name: np.zeros_like(p) for name, p in parameters.items()}
        self.second_moment = {name: np.zeros_like(p) for name, p in parameters.items()}

    def step(self, gradients: Gradients, learning_rate: float | None = None) -> None:
        """Change every parameter in place by one step.

        Args:
            gradients: One array for each parameter, of its shape; not changed.
            learning_rate: The rate of this step; the constructor's unless given.

        Raises:
            ValueError: Names or shapes are not those of the parameters, or the rate is negative or
                not finite; nothing is changed then.
        """
        check_same_arrays(self.parameters, gradients, "gradient")
        rate = self.learning_rate if learning_rate is None else float(learning_rate)
        check_rate("learning_rate", rate)
        self.step_count += 1
        for name, parameter in self.parameters.items():
            self._update(name, parameter, gradients[name], rate)

    def _update(self, name: str, parameter: Array, gradient: Array, rate: float) -> None:
        beta1, beta2 = self.betas
        mean, square = self.first_moment[name], self.second_moment[name]
        # m = beta1 * m + (1 - beta1) * g
        mean *= beta1
        mean += gradient * (1.0 - beta1)
        # v = beta2 * v + (1 - beta2) * g²
        square *= beta2
        scratch: Array = gradient * gradient
        scratch *= 1.0 - beta2
        square += scratch
        # Both started at 0 and are too small in the first steps: divide by what they are short of.
        bias1, bias2 = 1.0 - beta1**self.step_count, 1.0 - beta2**self.step_count
        np.sqrt(square, out=scratch)
        scratch *= 1.0 / math.sqrt(bias2)
        scratch += self.eps
        np.divide(mean, scratch, out=scratch)
        scratch *= rate / bias1
        # Decay first, then step: the decay does not pass through the moments.
        if parameter.ndim >= 2:
            parameter *= 1.0 - rate * self.weight_decay
        parameter -= scratch

    def state(self) -> dict[str, Any]:
        """Return copies of what the next step depends on, beside parameters and gradients."""
        return {
            "step_count": self.step_count,
            "first_moment": {name: m.copy() for name, m in self.first_moment.items()},
            "second_moment": {name: v.copy() for name, v in self.second_moment.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state` returned.

        Raises:
            ValueError: Names or shapes are not those of the parameters; nothing is changed then.
        """
        check_same_arrays(self.parameters, state["first_moment"], "first moment")
        check_same_arrays(self.parameters, state["second_moment"], "second moment")
        self.step_count = int(state["step_count"])
        for name in self.parameters:
            self.first_moment[name][...] = state["first_moment"][name]
            self.second_moment[name][...] = state["second_moment"][name]


if __name__ == "__main__":
    from literategpt.demos.optimizer import main

    main()
