"""The parts of the search, by name."""

from __future__ import annotations

from fuzz import commands, components, data_sets, models, photographs, recipes
from fuzz.case import Part

PARTS: dict[str, Part] = {
    part.PART.name: part.PART for part in (photographs, models, data_sets, recipes, commands, components)
}
