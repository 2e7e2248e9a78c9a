"""PaddleSeg itself reads the same files; runs where its package is installed."""

from pathlib import Path
from typing import Any

import pytest

from fastfcn_training.cli.paddleseg.files import read_config
from fastfcn_training.recipe.schedules import rate
from paddleseg_files import PUBLISHED, changed, plan

pytest.importorskip("paddle")
pytest.importorskip("paddleseg")

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs

ITERATIONS = 60


def merged(path: Path) -> Any:
    """Put files together as PaddleSeg does, without its opinion on what is in them."""
    from paddleseg.cvlibs.config import parse_from_yaml

    return parse_from_yaml(str(path))


def rates(path: Path) -> list[float]:
    from paddleseg.cvlibs import Config, SegBuilder

    scheduler = SegBuilder(Config(str(path))).lr_scheduler
    found = []
    for _ in range(ITERATIONS):
        found.append(float(scheduler.last_lr))
        scheduler.step()
    return found


def test_the_published_files_are_put_together_alike() -> None:
    assert read_config(PUBLISHED) == merged(PUBLISHED)


def test_bases_of_bases_and_refused_inheritance_are_put_together_alike(tmp_path: Path) -> None:
    files = {
        "config": "_base_: [one.yml, two.yml]\na: {x: 1}\nb: {_inherited_: False, p: 1}\n",
        "one": "_base_: three.yml\na: {x: 2, y: 2}\nc: {_inherited_: False, d: [1]}\n",
        "two": "a: {x: 3, y: 3, z: 3}\nb: {q: 2}\nc: {d: [4], e: 5}\n",
        "three": "a: {w: 4}\nd: 1e-4\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.yml").write_text(text.replace("1e-4", "1.0e-4"), encoding="utf-8")
    assert read_config(tmp_path / "config.yml") == merged(tmp_path / "config.yml")


@pytest.mark.parametrize(
    "section",
    [
        {"type": "PolynomialDecay", "end_lr": 1e-4, "power": 0.9},
        {
            "type": "PolynomialDecay",
            "end_lr": 0.0,
            "power": 0.9,
            "warmup_iters": 10,
            "warmup_start_lr": 1e-4,
        },
        {"type": "CosineAnnealingDecay", "T_max": ITERATIONS},
        {"type": "StepDecay", "step_size": 25},
        {"type": "StepDecay", "step_size": 25, "warmup_iters": 7, "warmup_start_lr": 0.0},
    ],
)
def test_rates_are_paddleseg_s_in_every_iteration(tmp_path: Path, section: dict[str, Any]) -> None:
    path = changed(tmp_path, iters=ITERATIONS, lr_scheduler={**section, "learning_rate": 0.01})
    recipe = plan(path).recipe
    ours = [rate(recipe.schedule, i, recipe.iterations) for i in range(ITERATIONS)]
    assert ours == pytest.approx(rates(path), rel=1e-9, abs=1e-12)
