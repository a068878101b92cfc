"""Search for inputs that end in something other than a result or a SmoothSwapError: `make fuzz`.

Each batch of cases runs in a process of its own, so that a crash is found as well. A find is written aside with its
input and the command that repeats it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz import batch as batches
from fuzz.case import Part
from fuzz.parts import PARTS
from fuzz.search import Finds, search


def repeat(part: Part, case: str) -> bool:
    """Run one case again, in this process and with its output; True where it is a find."""
    seed, batch, number = map(int, case.split("/"))
    drawn = batches.draw(part, seed, batch)[number]
    folder = Path("fuzz-case")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    print(drawn.says)
    found = batches.checked(drawn, folder.resolve())
    print(found or "no find")
    return bool(found)


def main() -> int:
    """Search as the command line says; exit code 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="names, with commas")
    parser.add_argument("--cases", type=int, default=1_000, help="of each part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--finds", type=Path, default=Path("fuzz-finds"), help="folder for what is found")
    parser.add_argument("--case", help="SEED/BATCH/NUMBER: repeat one case of the one part")
    wanted = parser.parse_args()
    parts = [PARTS[name] for name in wanted.parts.split(",")]
    for part in parts:
        part.prepare()
    if wanted.case:
        return int(repeat(parts[0], wanted.case))
    finds = Finds(wanted.finds)
    ran = search(parts, wanted.cases, wanted.seed, wanted.jobs, finds, 60 * wanted.minutes)
    for part in parts:
        found = {kind: count for (name, kind), count in finds.kinds.items() if name == part.name}
        print(f"{part.name}: {ran[part.name]} cases, {sum(found.values())} finds of {len(found)} kinds")
        for kind, count in found.items():
            print(f"  {count} × {kind}")
    return int(bool(finds.kinds))


if __name__ == "__main__":
    sys.exit(main())
