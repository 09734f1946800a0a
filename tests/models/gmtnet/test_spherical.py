"""Harmonics, 3j symbols and products of irreps against e3nn's, to the last bit: trained weights depend on them."""

import pytest
import torch
from e3nn import o3

from models.gmtnet.spherical import irreps_in_product, read_irreps, spherical_harmonics, wigner_3j

KINDS = [f"{degree}{parity}" for degree in range(5) for parity in "eo"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("l_max", range(5))
def test_harmonics_are_e3nns(l_max: int, dtype: torch.dtype) -> None:
    vectors = torch.cat([torch.zeros(1, 3), torch.eye(3), torch.randn(500, 3, generator=torch.Generator())]).to(dtype)
    irreps = o3.Irreps.spherical_harmonics(l_max)
    expected = o3.spherical_harmonics(irreps, vectors, normalize=True, normalization="component")
    assert torch.equal(spherical_harmonics(l_max, vectors), expected)


def test_degrees_that_are_not_written_out_are_refused() -> None:
    with pytest.raises(ValueError, match="l = 4"):
        spherical_harmonics(5, torch.ones(1, 3))


def test_3j_symbols_are_e3nns() -> None:
    for l1, l2, l3 in [(a, b, c) for a in range(5) for b in range(5) for c in range(abs(a - b), a + b + 1)]:
        expected = o3.wigner_3j(l1, l2, l3, dtype=torch.float64)
        assert torch.equal(wigner_3j(l1, l2, l3), expected), (l1, l2, l3)


def test_products_are_e3nns() -> None:
    for a, b in [(a, b) for a in KINDS for b in KINDS]:
        assert irreps_in_product(a, b) == [str(ir) for ir in o3.Irrep(a) * o3.Irrep(b)]


def test_irreps_are_read() -> None:
    assert read_irreps("32x0e+16x1o") == {"0e": 32, "1o": 16}
    assert read_irreps("2x0e + 1o+1x0e") == {"0e": 3, "1o": 1}
    with pytest.raises(ValueError, match="no irrep"):
        read_irreps("2x0q")
