"""The GPU's benchmark goes through on a CPU, so that on a GPU the first try counts."""

import json
from pathlib import Path

import pytest

from benchmarks.gpu import arguments, main, means_of, networks_alone
from benchmarks.speed.inputs import write_crystals
from benchmarks.speed.whole_run import commits_of, steady_rate
from models.quantities import Tensor
from models.reference.crystals import crystals_of_all_classes


@pytest.fixture
def candidates(tmp_path: Path) -> Path:
    crystals = crystals_of_all_classes().crystals
    write_crystals(tmp_path / "c.parquet", [f"c{k}" for k in range(crystals.n_crystals)], crystals)
    return tmp_path / "c.parquet"


def test_networks_in_buckets_agree_with_the_compiled_loops_and_have_a_rate(candidates: Path) -> None:
    figures = list(networks_alone("gmtnet", candidates, candidates.parent, "cpu", few=True))
    (name, errors), *batches = figures
    # crystals of random atoms, whose impossible bonds make exponents large
    assert name == "agreement" and set(errors) == set(Tensor) and 0 < max(errors.values()) < 1e-4
    assert [figures["crystals"] for _, figures in batches] == [8, 16]
    for _, batch in batches:
        assert batch["crystals_per_s"] > 0 and batch["captured_share"] == 0.0
        assert all(bucket["n_edges"] >= bucket["n_orbits"] for bucket in batch["buckets"])


@pytest.mark.slow
def test_the_dry_run_writes_every_figure(candidates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = candidates.parent / "gpu.json"
    main(["--dry-run", "--candidates", str(candidates), "--workers", "1", "--out", str(out)])
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["dry_run"] and result["machine"]["gpu"] is None
    assert result["whole_line"]["done"] + result["whole_line"]["refused"] == 40
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(result["batches"]) + 1


def test_without_a_gpu_only_the_dry_run_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="--dry-run goes through"):
        main(["--out", str(tmp_path / "gpu.json")])
    assert not arguments([]).dry_run


def test_lines_of_nvidia_smi_become_means() -> None:
    figures = means_of(["90, 1000, 300.5", "100, 3000, 299.5", "", "N/A, 1, 1"])
    assert figures == {"gpu_percent": 95.0, "gpu_memory_mib": 3000.0, "gpu_watt": 300.0}
    assert means_of([])["gpu_percent"] is None


def test_the_steady_rate_begins_when_each_worker_has_had_a_shard() -> None:
    lines = [
        (3.0, "info shard.committed shard=1 done=10 quarantined=0"),
        (3.5, "info shard.lost shard=7"),
        (4.0, "info shard.committed shard=2 done=10 quarantined=0"),
        (6.0, "info shard.committed shard=3 done=30 quarantined=1"),
        (8.0, "info shard.committed shard=4 done=10 quarantined=0"),
    ]
    commits = commits_of(lines)
    assert commits == [(3.0, 10), (4.0, 10), (6.0, 30), (8.0, 10)]
    assert steady_rate(commits, 2) == 10.0
    assert steady_rate(commits, 4) is None and steady_rate([], 1) is None
