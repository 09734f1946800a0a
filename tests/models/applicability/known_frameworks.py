"""Frameworks with pores that everybody knows, built from the sites of cubic space groups."""

from itertools import permutations, product

import numpy as np

from models.crystals.crystal import Crystal, CrystalBatch, Floats

PRIMITIVE = ((0.0, 0.0, 0.0),)
BODY = (*PRIMITIVE, (0.5, 0.5, 0.5))
FACES = (*PRIMITIVE, (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))


def orbit(site: tuple[float, float, float], centring: tuple[tuple[float, float, float], ...]) -> Floats:
    """All images of a site under the 48 operations of m-3m and a centring: Pm-3m, Im-3m or Fm-3m."""
    images = [
        np.array(signs) * np.array(order) + shift
        for order in permutations(site)
        for signs in product((1, -1), repeat=3)
        for shift in centring
    ]
    return np.unique(np.round(np.array(images) % 1.0, 6) % 1.0, axis=0)


def cubic(
    edge: float, centring: tuple[tuple[float, float, float], ...], sites: list[tuple[int, tuple[float, float, float]]]
) -> CrystalBatch:
    """A cubic crystal of the given edge in angstrom from its asymmetric unit."""
    orbits = [(number, orbit(site, centring)) for number, site in sites]
    numbers = np.concatenate([[number] * len(places) for number, places in orbits])
    return Crystal(edge * np.eye(3), np.concatenate([places for _, places in orbits]), numbers).as_batch()


def known_frameworks() -> dict[str, CrystalBatch]:
    """Sodalite and zeolite A as silica, and MOF-5.

    Sources: C. Baerlocher, L. B. McCusker, Database of Zeolite Structures, SOD and LTA (idealised silica);
    H. Li et al., Nature 402, 276 (1999): Zn4O(C8H4O4)3 without guests, here with idealised bonds.
    """
    return {
        "sodalite": cubic(8.965, BODY, [(14, (0.25, 0.5, 0.0)), (8, (0.0, 0.351, 0.351))]),
        "zeolite A": cubic(
            11.919,
            PRIMITIVE,
            [
                (14, (0.0, 0.1823, 0.3684)),
                (8, (0.0, 0.2122, 0.5)),
                (8, (0.0, 0.2967, 0.2967)),
                (8, (0.1103, 0.1103, 0.3384)),
            ],
        ),
        "MOF-5": cubic(
            25.832,
            FACES,
            [
                (30, (0.2935, 0.2065, 0.2065)),
                (8, (0.25, 0.25, 0.25)),
                (8, (0.2819, 0.2181, 0.1340)),
                (6, (0.25, 0.25, 0.1113)),
                (6, (0.25, 0.25, 0.0538)),
                (6, (0.2829, 0.2171, 0.0269)),
                (1, (0.3050, 0.1950, 0.0448)),
            ],
        ),
    }
