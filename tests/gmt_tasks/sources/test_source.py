"""`open_source`: every name means one thing, or an error that says what to write instead."""

from pathlib import Path

import pytest

from gmt_tasks.sources.generated.prototypes import PrototypesSource
from gmt_tasks.sources.generated.reference_crystals import ReferenceSource
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.remote.mirrored_source import MirroredSource
from models.errors import SourceError


def test_named_sources_open_by_name_and_keep_it() -> None:
    reference, prototypes = open_source("reference"), open_source("prototypes:n=7,seed=3")
    assert isinstance(reference, ReferenceSource) and reference.name == "reference"
    assert isinstance(prototypes, PrototypesSource) and prototypes.name == "prototypes:n=7,seed=3"
    assert (prototypes.n, prototypes.seed) == (7, 3)


@pytest.mark.parametrize("text", ["mp:elements=Ti", "jarvis:dft_3d", "optimade:https://example.org?filter=x"])
def test_remote_sources_open_without_asking_anybody(text: str, cache: Path) -> None:
    source = open_source(text)
    assert isinstance(source, MirroredSource) and source.name == text


@pytest.mark.parametrize("text", ["mp:", "jarvis:no such list", "optimade:nowhere"])
def test_remote_sources_that_mean_nothing_are_refused_at_once(text: str, cache: Path) -> None:
    with pytest.raises(SourceError):
        open_source(text)


@pytest.mark.parametrize(
    "text", ["prototypes:n=-1", "prototypes:n=many", "prototypes:colour=red", "prototypes:elements=Xx", "prototypes:n"]
)
def test_parameters_of_prototypes_are_checked(text: str) -> None:
    with pytest.raises(SourceError):
        open_source(text)


def test_an_unknown_reference_crystal_lists_the_known_ones() -> None:
    with pytest.raises(SourceError, match="unobtainium.*Known:.*quartz"):
        open_source("reference:quartz,unobtainium")


def test_a_file_named_like_a_source_is_reached_by_its_path(tmp_path, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reference").mkdir()
    assert isinstance(open_source("reference"), ReferenceSource)
    with pytest.raises(SourceError, match="holds no file"):
        open_source("./reference")
