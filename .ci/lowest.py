"""Prints the lowest version of each requirement that the command and the tests need, for pip; torch is left out."""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = ("photos", "train", "cli", "figures", "frozen-features")

rows = [*PROJECT["dependencies"], *(row for extra in EXTRAS for row in PROJECT["optional-dependencies"][extra])]
sys.stdout.writelines(
    f"{found[1]}=={found[2]}\n"
    for row in sorted(set(rows))
    if (found := re.match(r"([\w-]+)>=([\w.]+)", row)) and found[1] != "torch"
)
