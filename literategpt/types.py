"""Names for the kinds of value that pass between the modules."""

from typing import Any, TypeAlias

from numpy.typing import NDArray

__all__ = ["Array", "Gradients"]

Array: TypeAlias = NDArray[Any]
"""A NumPy array; which dtype and shape, the docstring of each function says."""

Gradients: TypeAlias = dict[str, Array]
"""One array a trainable parameter, under the parameter's dotted name."""
