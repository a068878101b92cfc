from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import smoothswap
from smoothswap.cli import demo, demo_models, demo_pairs
from smoothswap.cli.demo_verdicts import ALIKE
from smoothswap.core.errors import CheckpointError, InputError, NoFaceError
from smoothswap.core.interfaces import FaceInput
from smoothswap.data.faceworld import APPEARANCE_FACTORS, Factors
from smoothswap.embedders import sface
from smoothswap.evaluation import draw_scene

Run = Callable[..., Any]

SIZE, PAIRS = 32, 5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained model, small enough to be quick."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    options = {"base_channels": 4, "channel_multipliers": (1,), "blocks_per_level": 1, "attention_resolutions": ()}
    generator = smoothswap.build("smooth_unet", image_size=SIZE, identity_dim=8, **options)
    smoothswap.save(generator, folder / "generator.safetensors")
    for name in ("embedder", "judge"):
        smoothswap.save(smoothswap.build("small_resnet", input_size=SIZE, dim=8).eval(), folder / f"{name}.safetensors")
    return folder


class _Page(HTMLParser):
    """Checks that every tag is closed and collects what the page shows and links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.files: list[str] = []
        self.said = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.files += [value or "" for name, value in attributes if name in ("src", "href")]
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


class _Recites(nn.Module):
    """Gives the answer it was told for the nearest picture it knows: as a generator, or as an embedder."""

    image_size, identity_dim, dim, expects = SIZE, 8, 8, FaceInput("ffhq", SIZE)

    def __init__(self, known: Tensor, answers: Tensor) -> None:
        super().__init__()
        self.register_buffer("known", known)
        self.register_buffer("answers", answers)

    def forward(self, images: Tensor, identity: Tensor | None = None) -> Tensor:
        return self.answers[(images[:, None] - self.known).square().mean(dim=(2, 3, 4)).argmin(dim=1)]


@pytest.fixture(scope="module")
def shown(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shown") / "demo"
    assert demo.run_demo(out, pairs=PAIRS, model=model, photograph=False) is False
    return out


def test_an_untrained_model_fails_and_the_report_says_so(shown: Path) -> None:
    report = json.loads((shown / "report.json").read_text())
    assert report["passed"] is False
    assert report["protocol"]["pairs"] == len(report["pairs"]) == PAIRS
    assert report["protocol"]["split"] == "held-out people and held-out groups"
    assert report["figures"]["copy_target"]["nearest_rate"] == 0.0
    assert report["figures"]["copy_source"]["nearest_rate"] == 1.0
    assert set(report["protocol"]["further_judges_weights_fingerprint"]) == {"sface"}
    assert report["figures"]["copy_source"]["nearest_rate_sface"] == 1.0
    assert report["criteria"]["sharpness"]["upper_limit"] == pytest.approx(1 / report["criteria"]["sharpness"]["limit"])
    assert set(report["kinds"]) == {"held-out people", "held-out groups", ALIKE}


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(shown: Path) -> None:
    page = _Page((shown / "index.html").read_text(encoding="utf-8"))
    assert len(page.files) > 4 * PAIRS
    assert all((shown / file).is_file() for file in page.files)
    assert f"{PAIRS} pairs of rendered faces" in page.said
    assert "of 11 criteria hold" in page.said
    assert "nearer to the source, by sface" in page.said
    assert "as sharp as the true swap" in page.said
    assert ALIKE in page.said
    assert "True swap" in page.said


def test_pictures_are_png_of_the_models_size(shown: Path) -> None:
    pictures = sorted((shown / "pairs").iterdir())
    assert len(pictures) == 4 * PAIRS
    for path in pictures:
        with Image.open(path) as picture:
            assert (picture.format, picture.size, picture.mode) == ("PNG", (SIZE, SIZE), "RGB")


def test_nothing_is_left_beside_what_the_page_shows(shown: Path) -> None:
    assert not [path for path in shown.rglob("*") if path.name.startswith(".")]
    assert sorted(path.name for path in shown.iterdir()) == ["index.html", "pairs", "photograph", "report.json"]


def test_a_second_run_replaces_the_first(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo.run_demo(tmp_path / "demo", pairs=3, model=model, photograph=False)
    capsys.readouterr()
    demo.run_demo(tmp_path / "demo", pairs=1, model=model, photograph=False)
    assert len(list((tmp_path / "demo" / "pairs").iterdir())) == 4
    printed = capsys.readouterr().out
    assert "copy the source" in printed
    assert "Not reached: " in printed
    assert "which did not train the generator" in printed
    assert "Further judge: sface, weights_fingerprint " in printed
    assert "asked of source and target of one colouring" in printed


def _planted(monkeypatch: pytest.MonkeyPatch, *, copies_alike: bool = False) -> None:
    """Make the demo's model a perfect one on 4 pairs of seed 5, but on pairs of one colouring, where it may copy."""
    drawn = demo_pairs.draw_pairs(4, 5), demo_pairs.draw_pairs(2, 5, "same")
    source, target = (Factors.cat(side) for side in zip(*drawn, strict=True))
    scene = draw_scene(source, target, SIZE)
    answers = torch.cat([scene.truth[:4], scene.target[4:] if copies_alike else scene.truth[4:]])
    people = nn.functional.normalize(torch.cat([source.identity, target.identity, source.identity]), dim=1)
    judge = _Recites(torch.cat([scene.source, scene.target, scene.truth]), people)
    models = demo_models.Models(
        generator=_Recites(scene.target, answers),
        embedder=_Recites(scene.source, torch.eye(6)),
        judge=judge,
        where="planted",
        further_judges={"second": judge},
    )
    monkeypatch.setattr(demo, "load_models", lambda model: models)


def test_a_perfect_model_passes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _planted(monkeypatch)
    assert demo.run_demo(tmp_path / "demo", pairs=4, seed=5, photograph=False) is True
    assert json.loads((tmp_path / "demo" / "report.json").read_text())["passed"] is True
    assert "all 11 criteria hold" in (tmp_path / "demo" / "index.html").read_text(encoding="utf-8")
    assert "Not reached" not in capsys.readouterr().out


def test_failing_on_people_of_one_colouring_is_failing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _planted(monkeypatch, copies_alike=True)
    assert demo.run_demo(tmp_path / "demo", pairs=4, seed=5, photograph=False) is False
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert report["passed"] is False
    assert all(criterion["passed"] for criterion in report["criteria"].values())
    failed = {kind for kind, part in report["kinds"].items() if not part["passed"]}
    assert failed == {ALIKE}
    assert set(report["kinds"][ALIKE]["criteria"]) == {"nearest_rate", "gain_face", "share_outline"}
    assert "8 of 11 criteria hold" in (tmp_path / "demo" / "index.html").read_text(encoding="utf-8")
    assert f"face ({ALIKE}); outline" in capsys.readouterr().out


def test_without_the_second_judge_the_demo_says_so_and_goes_on(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere() -> Path:
        raise InputError("the model file is not installed", hint="pip install it")

    monkeypatch.setattr(sface, "shipped_sface", nowhere)
    demo.run_demo(tmp_path, pairs=2, model=model, photograph=False)
    told = "there is no second judge sface and no criterion of it: the model file is not installed; pip install it"
    assert capsys.readouterr().out.count(told) == 1
    page = _Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert told in page.said
    assert "of 10 criteria hold" in page.said
    report = json.loads((tmp_path / "report.json").read_text())
    assert told in report["warnings"]
    assert report["protocol"]["further_judges_weights_fingerprint"] == {}
    assert "nearest_rate_sface" not in report["criteria"]


def test_pairs_take_turns_and_do_not_depend_on_their_number() -> None:
    source, target = demo_pairs.draw_pairs(8, seed=0)
    fewer, _ = demo_pairs.draw_pairs(3, seed=0)
    assert torch.equal(fewer.identity, source.identity[:3])
    assert not (source.identity == target.identity).all(dim=1).any()
    assert demo_pairs.kinds_of_pairs(8)["held-out people"] == [0, 2, 4, 6]


def test_the_further_pairs_share_their_colouring() -> None:
    source, target = demo_pairs.draw_pairs(4, 0, "same")
    look = slice(-len(APPEARANCE_FACTORS), None)
    assert torch.equal(source.identity[:, look], target.identity[:, look])
    assert not (source.identity == target.identity).all(dim=1).any()


@pytest.mark.skipif(not demo.ASTRONAUT.is_file(), reason="only a checkout holds the photograph")
def test_a_photograph_is_swapped_from_file_to_file(model: Path, tmp_path: Path) -> None:
    demo.run_demo(tmp_path, pairs=1, model=model)
    page = _Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert {"photograph/source.png", "photograph/target.jpg", "photograph/swap.png"} <= set(page.files)
    assert "does not show the quality" in page.said
    with Image.open(tmp_path / "photograph/swap.png") as swap, Image.open(demo.ASTRONAUT) as before:
        assert swap.size == before.size
    assert json.loads((tmp_path / "report.json").read_text())["photograph_seconds"] > 0


def test_without_a_photograph_no_path_is_named_that_is_not_there(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "ASTRONAUT", tmp_path / "site-packages" / "astronaut.jpg")
    demo.run_demo(tmp_path / "demo", pairs=1, model=model)
    said = capsys.readouterr().out
    assert "--photograph FILE" in said
    assert "site-packages" not in said


def test_a_photograph_without_a_face_is_an_error(model: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "wall.png")
    with pytest.raises(NoFaceError):
        demo.run_demo(tmp_path / "demo", pairs=1, model=model, photograph=tmp_path / "wall.png")
    assert not (tmp_path / "demo" / "index.html").exists()


def test_somebodys_own_folder_is_not_touched(model: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(InputError, match="holds no earlier demo"):
        demo.run_demo(tmp_path, pairs=1, model=model)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    with pytest.raises(InputError, match="is a file"):
        demo.run_demo(tmp_path / "index.html", pairs=1, model=model)


def test_what_a_user_can_get_wrong(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 1 pair"):
        demo.run_demo(tmp_path / "demo", pairs=0, model=model)
    with pytest.raises(InputError, match="no photograph"):
        demo.run_demo(tmp_path / "demo", pairs=1, model=model, photograph=tmp_path / "none.jpg")
    with pytest.raises(InputError, match="no model"):
        demo.run_demo(tmp_path / "demo", pairs=1, model=tmp_path)
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for name in ("generator", "embedder", "judge"):
        (wrong / f"{name}.safetensors").write_bytes((model / "embedder.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="is no generator: it holds the embedder 'small_resnet'"):
        demo.run_demo(tmp_path / "demo", pairs=1, model=wrong)
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(("word", "reached", "code"), [("", False, 0), ("--check", False, 1), ("--check", True, 0)])
def test_only_a_check_fails_on_what_is_not_reached(
    monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path, word: str, reached: bool, code: int
) -> None:
    monkeypatch.setattr(demo, "run_demo", lambda *_, **__: reached)
    assert run("demo", "--out", tmp_path, *word.split()).code == code
