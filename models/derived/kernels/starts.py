"""The best directions of a grid, from which searches start."""

from typing import Any

from models.compiled import compiled


@compiled
def two_best(values: Any, directions: Any, apart: float, even: int) -> tuple[int, int]:
    """The best direction and the best one apart from it.

    Args:
        values: on the grid, [n_directions].
        directions: unit vectors, [n_directions, 3].
        apart: cosine above which two directions are too near to each other to be two starts.
        even: 1 where n and -n are the same direction.

    Returns:
        Their places; the first of equal ones.
    """
    first = 0
    for k in range(1, len(values)):
        if values[k] > values[first]:
            first = k
    x, y, z = directions[first]
    second = -1
    for k in range(len(values)):
        if second < 0 or values[k] > values[second]:
            cosine = x * directions[k, 0] + y * directions[k, 1] + z * directions[k, 2]
            if even:
                cosine = abs(cosine)
            if cosine <= apart:
                second = k
    return first, second


@compiled
def two_best_of_each(values: Any, directions: Any, apart: float, even: int, places: Any) -> None:
    """`two_best` of values [n, n_directions], to `places`, [n, 2]."""
    for k in range(len(values)):
        places[k, 0], places[k, 1] = two_best(values[k], directions, apart, even)
