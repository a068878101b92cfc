"""One contestant of the SupCon benchmark in a process of its own, so that nobody's memory is another's.

    python tests/benchmarks/supcon_child.py NAME DEVICE

It reads one JSON object a line, {"case": {…}} to make the tensors and to call once, {"time": true} for one more call,
and answers each with one line. `Child` is the other end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.nn.functional as F
from benchmarks import supcon_form
from benchmarks.clock import Clock
from benchmarks.memory import peak_bytes
from torch import Tensor

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
Way = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """A batch and a pass over it.

    Attributes:
        n: vectors N.
        d: their length D.
        per_class: vectors that share a label, copies not counted.
        dtype: fp32 or bf16.
        passes: forward, or forward+backward.
        copies: how often each vector is in the batch: what is too large for a dense fp64 judge becomes small for it.
    """

    n: int
    d: int
    per_class: int = 4
    dtype: str = "fp32"
    passes: str = "forward+backward"
    copies: int = 1

    def batch(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Unit vectors [N / copies, D] and labels [N / copies], the same in every process."""
        made = torch.Generator().manual_seed(self.n + self.d)
        m = self.n // self.copies
        z = F.normalize(torch.randn(m, self.d, generator=made), dim=1).to(DTYPES[self.dtype])
        labels = (torch.arange(m) // self.per_class)[torch.randperm(m, generator=made)]
        return z.to(device), labels.to(device)


def way(name: str) -> Way:
    """A contestant, ImportError where its package is missing."""
    if name == "ours":
        from smoothswap.ops import supcon_loss

        return lambda z, labels: supcon_loss(z, labels, supcon_form.TEMPERATURE)
    if name == "metric learning":
        from pytorch_metric_learning.distances import DotProductSimilarity
        from pytorch_metric_learning.losses import SupConLoss

        # The vectors have unit length, as all contestants take them: it would else normalise them once more.
        dots = DotProductSimilarity(normalize_embeddings=False)
        return SupConLoss(temperature=supcon_form.TEMPERATURE, distance=dots)  # type: ignore[no-any-return]
    return torch.compile(supcon_form.dense, dynamic=False) if name == "compiled" else supcon_form.dense


class Contestant:
    """Answers what the other end asks.

    Args:
        name: ours, dense, compiled, metric learning, or matmul, which is the ceiling and no contestant.
        device: where it runs.
    """

    def __init__(self, name: str, device: str) -> None:
        self.name, self.device = name, torch.device(device)
        self.clock = Clock(self.device, tiny=bool(os.environ.get("BENCH_TINY")))
        self.call: Callable[[], list[Tensor]] = list

    def prepare(self, case: Case, judge: str | None) -> dict[str, Any]:
        """Calls once: milliseconds, peak memory, and the errors to what the file `judge` holds."""
        if self.name == "matmul":
            return self._matmul(case)
        loss = way(self.name)
        if self.name == "compiled":
            torch._dynamo.reset()
            self._call(loss, case)()  # compiles, for this size alone
        else:  # brings in pages of code and the buffers that stay with the threads
            self._call(loss, replace(case, n=256 * case.copies))()
        self.call = self._call(loss, case)
        results: list[Tensor] = []
        said: dict[str, Any] = {}

        def timed() -> None:
            said["ms"] = self.clock.once(lambda: results.extend(self.call()))

        said["peak_bytes"] = peak_bytes(timed, self.device)
        if judge is not None:
            said["errors"] = [
                float((a.double()[: len(b)] if b.dim() else a.double()).sub(b).norm() / b.norm())
                for a, b in zip(results, torch.load(judge, map_location=self.device), strict=False)
            ]
        return said

    def _call(self, loss: Way, case: Case) -> Callable[[], list[Tensor]]:
        """Loss, or loss and gradient, of a case's batch."""
        z, labels = case.batch(self.device)
        z, labels = z.repeat(case.copies, 1).requires_grad_(), labels.repeat(case.copies)

        def call() -> list[Tensor]:
            if case.passes == "forward":
                with torch.no_grad():
                    return [loss(z, labels)]
            y = loss(z, labels)
            return [y.detach(), *torch.autograd.grad(y, z)]

        return call

    def _matmul(self, case: Case) -> dict[str, Any]:
        """Multiplies square matrices in the dtype that the device multiplies vectors of the case's in."""
        dtype = DTYPES[case.dtype] if self.device.type == "cuda" else torch.float32
        side = 64 if self.clock.tiny else 2048 if self.device.type == "cpu" else 8192
        a, b, c = (torch.randn(side, side, device=self.device, dtype=dtype) for _ in range(3))
        self.call = lambda: [torch.mm(a, b, out=c)]
        self.call()
        return {"flops": 2 * side**3}

    def time(self) -> dict[str, Any]:
        """One sample."""
        return {"ms": self.clock.once(self.call)}

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What `Child` was asked; {"failed": why} where it cannot, so that the others go on."""
        try:
            if "case" in asked:
                return self.prepare(Case(**asked["case"]), asked["judge"])
            return self.time()
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}


class Child:
    """The contestant's process, from outside.

    Args:
        name: as in `Contestant`.
        device: where it runs.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        root = Path(__file__).resolve().parents[2]
        path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), name, str(device)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # The compiler's own processes would take longer to end than what they save.
            env=os.environ | {"PYTHONPATH": path, "TORCHINDUCTOR_COMPILE_THREADS": "1"},
            text=True,
        )

    def close(self) -> None:
        """Ends the process."""
        with self.process:
            pass  # closes its input, whereupon it ends, and waits for it

    def ask(self, **question: Any) -> dict[str, Any]:
        """`case` and `judge` (a file or None), see `Contestant.prepare`; or `time`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        except OSError:  # it ended before
            return {"failed": f"its process ended with code {self.process.wait()}"}
        answer = self.process.stdout.readline()
        return json.loads(answer) if answer else {"failed": f"its process ended with code {self.process.wait()}"}


def main(name: str, device: str) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))
    contestant = Contestant(name, device)
    for line in sys.stdin:
        said = contestant.answer(json.loads(line))
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
