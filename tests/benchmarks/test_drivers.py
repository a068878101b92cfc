"""The programs behind `make bench`, `make gpu` and `make gpu-train`, tiny and on the CPU; tables of made-up times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from aligned import write_people
from benchmarks import compare_discriminators, facts, gpu, gpu_train, keep_detail, pack_photographs, supcon_form, table
from benchmarks.clock import Clock, Turns
from benchmarks.memory import _sampled, peak_bytes
from benchmarks.supcon_child import Case, Child
from benchmarks.targets import verdicts

import smoothswap
from smoothswap.core.errors import InputError
from smoothswap.training import Part, recipe

HERE = Path(__file__).parent
WARM = {"device": "cpu", "machine": "two cores", "threads": 2, "allocator": "warm", "torch": "2", "date": "today"}


def row(**times: float) -> dict[str, object]:
    where = {"op": "upfirdn2d", "case": "down2", "dtype": "fp32", "layout": "nchw", "passes": "forward"}
    return where | {"median_ms": times, "failed": {}}


def test_gpu_program_writes_every_step(tmp_path):
    program = [sys.executable, str(HERE / "gpu.py"), "--device", "cpu", "--tiny", "--out", str(tmp_path)]
    done = subprocess.run(
        [*program, "--steps", "sanitize,bench"],
        # Without what pytest-xdist tells its workers, under which the benchmarks would not run.
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")} | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("*.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert {step["name"]: step["exit_code"] for step in result["steps"]} == {"sanitize": 0, "bench": 0}
    assert {row["op"] for row in result["rows"] if "op" in row} >= {
        "upfirdn2d",
        "bias_act",
        "modulated_conv2d",
        "supcon_loss",
    }
    for entry in result["rows"]:
        if "op" in entry:
            assert {"ours", "floor"} <= set(entry["median_ms"])
            assert len(entry["median_ms"]) > 2 or entry["copies"] > 1  # too large for the others
            assert entry["median_ms"].keys() == entry["samples_ms"].keys()
        if entry.get("op") == "supcon_loss":
            assert entry["peak_bytes"].keys() == entry["error_to_fp64"].keys() >= {"ours"}
            assert max(entry["error_to_fp64"]["ours"]) < (1e-6 if entry["dtype"] == "fp32" else 1e-2)
    assert result["facts"]["tiny"]
    assert os.uname().nodename not in path.name


def test_a_step_that_fails_or_hangs_is_an_entry_like_the_others():
    failed = gpu.perform(gpu.Step("build", [sys.executable, "-c", "print('why'); raise SystemExit(3)"], 30))
    assert (failed["exit_code"], failed["output"].strip()) == (3, "why")
    late = gpu.perform(gpu.Step("test", [sys.executable, "-c", "import time; time.sleep(60)"], 1))
    assert late["exit_code"] == 124
    assert late["seconds"] < 30
    absent = gpu.perform(gpu.Step("bench", ["/nowhere/program"], 5))
    assert absent["exit_code"] == 127
    assert sum(step.seconds for step in gpu.steps("cuda", False, Path("rows"))) <= 540


def gpu_train_program(folder: Path, *more: str, code: int = 0) -> str:
    """Runs it for a few seconds on the CPU, in a process of its own, whose allocator it may change; what it said."""
    program = [sys.executable, str(HERE / "gpu_train.py"), "--device", "cpu", "--tiny", "--for", "16s"]
    program += ["--slowest", "0.1", *more]
    done = subprocess.run(
        [*program, "--out", str(folder / "out"), "--run", str(folder / "run")],
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")} | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr


@pytest.mark.slow
def test_gpu_train_program_trains_goes_on_and_leaves_small_files(tmp_path):
    import torch

    import smoothswap
    from smoothswap.modules import weights
    from smoothswap.training import load_recipe

    said = gpu_train_program(tmp_path, "--calls", "2")
    made = load_recipe(tmp_path / "out" / "recipe.json")
    assert f"the training takes {made.images:,} images, for 2 calls of 16s" in said
    files = {path.name: path for path in (tmp_path / "out").iterdir()}
    named = {"generator.safetensors", "embedder.safetensors", "recipe.json", "train.jsonl", "log.txt"}
    assert named < files.keys()
    assert {Path(name).suffix for name in files.keys() - named} == {".png"}
    assert len(files) <= 8
    assert all(path.is_file() and path.stat().st_size <= gpu_train.LARGEST for path in files.values())
    header, state = weights.read(files["generator.safetensors"])
    assert {value.dtype for value in state.values()} == {torch.float16}
    assert 0 < header["notes"]["images"] < made.images, "two calls take it"
    face = torch.zeros(1, 3, 16, 16)
    embedder, generator = (smoothswap.load(files[f"{name}.safetensors"]) for name in ("embedder", "generator"))
    assert generator(face, embedder(torch.zeros(1, 3, 64, 64))).isfinite().all()

    again = gpu_train_program(tmp_path)
    assert "the training takes" not in again, "its length is decided once"
    assert load_recipe(tmp_path / "out" / "recipe.json") == made
    assert weights.read(files["generator.safetensors"])[0]["notes"]["images"] > header["notes"]["images"]
    assert files["log.txt"].read_text(encoding="utf-8").count("images/s over the first") == 2


@pytest.mark.slow
def test_gpu_train_says_why_it_stops(tmp_path):
    said = gpu_train_program(tmp_path, "--slowest", "1e9", code=1)
    assert "images/s: less than 1e+09" in said.splitlines()[-1]
    assert (tmp_path / "out" / "generator.safetensors").is_file(), "what there is is left all the same"
    log = (tmp_path / "out" / "log.txt").read_text(encoding="utf-8")
    assert log.splitlines()[-1] == said.splitlines()[-1]
    said = gpu_train_program(tmp_path, "--set", "generator.base_channels=512", code=1)
    assert "larger than 16 MiB" in said.splitlines()[-1]


def test_gpu_train_fits_its_length_and_its_schedule():
    from smoothswap.training import recipe

    made = recipe("swapper", gpu_train.RECIPE)
    gpu_train.check_size(made)
    half = gpu_train.fitted(made, made.images / 2 + 10)
    assert half.images == made.images // 2
    for name, term in made.losses.items():
        for images in (0, made.images // 3, made.images // 2, made.images):
            assert half.losses[name].weight_at(images // 2) == pytest.approx(term.weight_at(images), abs=1e-6)
    assert made.losses["adversarial"].weight_at(0) == 0 < made.losses["adversarial"].weight_at(made.images)


def test_gpu_train_measures_the_last_seconds(tmp_path):
    from smoothswap.training import TrainResult

    log = tmp_path / "train.jsonl"
    assert gpu_train.rate(log, TrainResult(log, 50, 10.0), 5) == 5
    lines = [(100, 40.0), (200, 80.0), (1200, 90.0)]
    log.write_text("".join(json.dumps({"images": n, "seconds": s}) + "\n" for n, s in lines))
    assert gpu_train.rate(log, TrainResult(log, 2200, 100.0), 10) == 100
    assert gpu_train.rate(log, TrainResult(log, 2200, 100.0), 30) == 100
    assert gpu_train.rate(log, TrainResult(log, 2200, 110.0), 5) == 50, "none so late: since the last line"


def test_targets_compare_with_the_best_of_their_contestants():
    found = verdicts(WARM, row(ours=2, stock=8, **{"stock padded": 5}, floor=1))
    assert [(verdict.shown, verdict.met) for verdict in found] == [("50%", False), ("2.50×", True)]
    assert verdicts(WARM, row(ours=1, floor=1) | {"case": "small call"}) == []
    assert verdicts(WARM | {"allocator": "default"}, row(ours=2, stock=8, floor=1)) == []


def supcon_row(**peaks: int) -> dict[str, object]:
    where = {"op": "supcon_loss", "case": "8192 × 512", "dtype": "fp32", "layout": "", "passes": "forward+backward"}
    errors = {"error_to_fp64": {name: [1e-8, 3e-7] for name in peaks}, "floor_is": "matmul", "failed": {}}
    return where | errors | {"median_ms": {"ours": 2, "dense": 8, "floor": 1}, "peak_bytes": peaks}


def test_memory_has_targets_where_it_can_be_told():
    default = WARM | {"allocator": "default"}
    found = verdicts(default, supcon_row(ours=9 << 20, dense=100 << 20))
    assert [(verdict.says, verdict.shown, verdict.met) for verdict in found] == [
        ("≥ 70% of matmul", "50%", False),
        ("≥ 3.5× dense", "4.00×", True),
        ("≤ 8% of dense's memory", "9.0%", False),
    ]
    assert len(verdicts(WARM, supcon_row(ours=9, dense=100))) == 1
    large = supcon_row(ours=900_000_000) | {"case": "65536 × 128"}
    assert [(verdict.shown, verdict.met) for verdict in verdicts(default, large)] == [("0.90 GB", True)]
    shown = table.render({"facts": default, "rows": [supcon_row(ours=9 << 20, dense=100 << 20)]})
    assert "| of matmul |" in shown
    assert "| 8192 × 512 fp32 fwd+bwd                      | 9; 3e-07 | 100; 3e-07 |" in shown


def test_table_marks_what_misses():
    found = WARM
    result = {"facts": found, "rows": [row(ours=2.0, stock=8.0, floor=1.0), {"ceiling": "copy", "GB/s": 20.0}]}
    shown = table.render(result)
    assert "| 2.00    | 8.00 (4.0×) | 1.00  | 50%" in shown
    assert "≥ 60% of copy: 50% **MISSED**; ≥ 2.2× stock or stock padded: 4.00×" in shown
    assert "copy: 20.0 GB/s" in shown
    assert table.missed(result) == 1
    assert table.missed(result | {"facts": found | {"allocator": "default"}}) == 0


def test_contestants_take_turns():
    import torch

    order: list[str] = []
    turns = Turns(Clock(torch.device("cpu"), tiny=True), {name: lambda name=name: order.append(name) for name in "abc"})
    for _ in range(3):
        turns.round()
    assert "".join(order) == "abcbcacab"
    assert all(len(samples) == 3 for samples in turns.samples.values())


def test_allocator_is_read_from_the_environment():
    assert facts.allocator({}) == "default"
    assert facts.allocator(facts.WARM) == "warm"
    assert facts.allocator({**facts.WARM, "MALLOC_TRIM_THRESHOLD_": "1"}) == "default"


def test_peak_memory_is_that_of_what_is_alive_at_once():
    import torch

    mib = 1 << 20
    at_once = 64 * mib // 4  # numbers of fp32

    def one_after_the_other() -> None:
        for _ in range(3):
            torch.ones(at_once)

    for peak in (lambda call: peak_bytes(call, torch.device("cpu")), _sampled):
        assert 60 <= peak(lambda: torch.ones(at_once)) / mib <= 72
        assert 60 <= peak(one_after_the_other) / mib <= 72
        assert peak(lambda: torch.ones(1)) / mib <= 4


def test_a_contestant_answers_from_its_own_process():
    import torch

    case, child = asdict(Case(64, 16)), Child("dense", torch.device("cpu"))
    try:
        assert child.ask(case=case, judge=None)["ms"] > 0
        assert child.ask(time=True)["ms"] > 0
        assert "no such dtype" in child.ask(case=case | {"dtype": "no such dtype"}, judge=None)["failed"]
        child.process.kill()
        assert child.ask(time=True) == {"failed": "its process ended with code -9"}
    finally:
        child.close()


def test_the_judge_of_copies_is_the_judge_of_the_whole_batch():
    import torch

    z, labels = Case(12, 5, per_class=3).batch(torch.device("cpu"))
    loss, gradient = supcon_form.exact(z, labels, copies=3)
    whole, each = supcon_form.exact(z.repeat(3, 1), labels.repeat(3))
    torch.testing.assert_close(loss, whole)
    torch.testing.assert_close(gradient.repeat(3, 1), each)
    wide = z.double().requires_grad_()
    plain = supcon_form.dense(wide, labels)
    torch.testing.assert_close(supcon_form.exact(z, labels)[0], plain.detach())
    torch.testing.assert_close(supcon_form.exact(z, labels)[1], torch.autograd.grad(plain, wide)[0])


def test_embedders_side_by_side(tmp_path, monkeypatch, capsys):
    import numpy as np
    from benchmarks import compare_embedders
    from PIL import Image

    import smoothswap
    from smoothswap.modules import weights

    random = np.random.default_rng(0)
    for person in range(12):
        for number in range(2):
            file = tmp_path / "people" / f"{person}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(file)
    for run in ("supcon-0", "supcon-1", "softmax-0"):
        (tmp_path / run).mkdir()
        small = smoothswap.build("small_resnet", input_size=16, widths=(4, 4), blocks=(1, 1), dim=8)
        weights.save(small, tmp_path / run / "embedder.safetensors")
    runs = [str(tmp_path / run) for run in ("supcon-0", "supcon-1", "softmax-0")]
    told = ["--people", str(tmp_path / "people"), "--held-out", "0.4", "--size", "16", "--pairs", "3"]
    monkeypatch.setattr(sys, "argv", ["compare_embedders", *runs, *told, "--json", str(tmp_path / "found.json")])
    compare_embedders.main()
    head, _, supcon, softmax = capsys.readouterr().out.splitlines()
    assert head.startswith("| embedder | runs | auc |")
    assert head.endswith("| interpolation_count | gradient_consistency |")
    assert supcon.startswith(f"| {tmp_path / 'supcon'} | 2 |")
    assert supcon.count("±") == head.count("|") - 3
    assert "±" not in softmax
    found = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert list(found) == runs
    assert all(-1 <= own["gradient_consistency"] <= 1 for own in found.values())


def test_photographs_are_packed_and_unpacked_with_their_points(tmp_path, capsys):
    from smoothswap.data.crop_points import crop_points
    from smoothswap.data.origin import origin_of

    folder, tar = write_people(tmp_path / "aligned", 20, 2), tmp_path / "photographs.tar"
    assert pack_photographs.main([str(folder), str(tar), "--size", "24"]) == 0
    assert "40 photographs" in capsys.readouterr().err
    (tmp_path / "run").mkdir()
    out, embedder = pack_photographs.unpack(tar, tmp_path / "run")
    assert sorted(crop_points(out)) == sorted(
        f"{person:02}/{number}.jpg" for person in range(20) for number in range(2)
    )
    assert all((out / name).is_file() for name in crop_points(out))
    assert pack_photographs.unpack(tar, tmp_path / "run") == (out, embedder), "it is there already"
    assert origin_of(out) == origin_of(folder)
    before = tar.read_bytes()
    assert pack_photographs.main([str(tmp_path / "run"), str(tar)]) == 1
    assert "smoothswap align" in capsys.readouterr().err
    assert tar.read_bytes() == before
    for name, content in (("gone.tar", None), ("cut.tar", before[:5_000])):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be unpacked"):
            pack_photographs.unpack(tmp_path / name, tmp_path)
    (tmp_path / "other.tar").write_bytes(before + b"0" * 512)
    with pytest.raises(InputError, match="of another tar"):
        pack_photographs.unpack(tmp_path / "other.tar", tmp_path / "run")


def test_what_cannot_be_packed_leaves_no_tar(tmp_path, monkeypatch, capsys):
    folder, tar = write_people(tmp_path / "aligned", 3, 1), tmp_path / "photographs.tar"
    (folder / "00" / "0.png").unlink()  # the user took it away
    assert pack_photographs.main([str(folder), str(tar)]) == 0
    assert "2 photographs" in capsys.readouterr().err
    tar.unlink()
    monkeypatch.setattr(pack_photographs, "LARGEST", 100_000)
    assert pack_photographs.main([str(folder), str(tar)]) == 1
    assert "at most 0 are carried" in capsys.readouterr().err
    (folder / "01" / "0.png").write_bytes(b"no picture")
    assert pack_photographs.main([str(folder), str(tar)]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.tar*"))


def test_runs_of_one_kind_differ_in_a_number_at_their_end():
    from benchmarks.compare_embedders import kind_of

    assert kind_of("runs/supcon-0") == kind_of("runs/supcon-12") == "runs/supcon"
    assert kind_of("runs/arcface-0/embedder.safetensors") == "runs/arcface"
    assert len({kind_of(run) for run in ("a/run-0", "b/run-0", "sface")}) == 3


@pytest.mark.slow
def test_gpu_train_program_trains_on_packed_photographs(tmp_path):
    folder, tar = write_people(tmp_path / "aligned", 20, 2), tmp_path / "photographs.tar"
    assert pack_photographs.main([str(folder), str(tar)]) == 0
    gpu_train_program(tmp_path, "--photographs", str(tar))
    recipe = json.loads((tmp_path / "out" / "recipe.json").read_text("utf-8"))
    assert recipe["name"] == "photos_128"
    assert recipe["data"]["name"] == "pasted_faces"
    assert set(recipe["mix"]) == {"photos"}
    # sface is too large for a file, and is there wherever smoothswap is.
    assert not (tmp_path / "out" / "embedder.safetensors").exists()
    assert all(file.stat().st_size <= gpu_train.LARGEST for file in (tmp_path / "out").iterdir())
    generator, embedder = smoothswap.api.model_files(tmp_path / "out")
    assert (generator.name, embedder) == ("generator.safetensors", "sface")


def test_what_a_missing_package_brings_is_left_out_aloud(monkeypatch, capsys):
    monkeypatch.setattr(gpu_train, "PACKAGE", "no_such_package")
    without = recipe("swapper", "photos_128", gpu_train.without_frozen_network())
    assert "features" not in without.losses
    assert without.discriminator == Part("stylegan2", {"channel_base": 2048, "channel_max": 256})
    assert "no_such_package is not installed" in capsys.readouterr().err
    monkeypatch.setattr(gpu_train, "PACKAGE", "torch")
    assert gpu_train.without_frozen_network() == {}


@pytest.mark.slow
def test_discriminators_are_compared_on_swaps_that_stay(tmp_path, capsys):
    folder = write_people(tmp_path / "aligned", 6, 1)
    words = [str(smoothswap.api.model_files("photos_128")[0].parent), str(folder)]
    compare_discriminators.main([*words, "--steps", "2", "--every", "1", "--held-out", "2"])
    table = [[cell.strip() for cell in row.strip("|").split("|")] for row in capsys.readouterr().out.splitlines()]
    assert table[0] == ["discriminator", "learning rate", "16", "32"]
    assert [row[0] for row in table[2:]] == list(compare_discriminators.KINDS)
    assert all(0 <= float(cell) <= 1 for row in table[2:] for cell in row[2:])


def test_what_keeping_detail_gives(capsys):
    keep_detail.main(["--pairs", "2"])
    none, some, everything = (row.split("|") for row in capsys.readouterr().out.splitlines()[2:])
    face, whole = (lambda row: float(row[2].split()[0])), (lambda row: float(row[3].split()[0]))
    assert face(everything) < face(some)
    assert whole(none) <= whole(some)
