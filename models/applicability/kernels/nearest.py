"""The nearest of many points."""

from typing import Any

import numpy as np

from models.compiled import compiled


@compiled
def mean_of_smallest(products: Any, squared: Any, own: Any, n_smallest: int, out: Any) -> None:
    """Mean distance to the nearest points of a reference.

    Args:
        products: of points and reference, [n_points, n_reference].
        squared: norms of the reference, squared, [n_reference].
        own: norms of the points, squared, [n_points].
        n_smallest: how many are near.
        out: for the result, [n_points].
    """
    smallest = np.empty(n_smallest, np.float32)
    two = np.float32(2.0)
    for k in range(len(products)):
        smallest[:] = np.inf
        row = products[k]
        for j in range(len(squared)):
            far = squared[j] - two * row[j]
            if far < smallest[n_smallest - 1]:
                place = n_smallest - 1
                while place > 0 and far < smallest[place - 1]:
                    smallest[place] = smallest[place - 1]
                    place -= 1
                smallest[place] = far
        total = np.float32(0.0)
        for place in range(n_smallest):
            total += np.sqrt(max(smallest[place] + own[k], np.float32(0.0)))
        out[k] = total / np.float32(n_smallest)
