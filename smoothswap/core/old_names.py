"""Names of digests in files that were written before each digest had its one name: they are read as today's.

Today `file_sha256` is of a file's bytes and `weights_fingerprint` of a model's weights rounded to half precision; a
field that holds one of them ends in its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PROTOCOL = {
    "judge_sha256": "judge_weights_fingerprint",
    "generator_sha256": "generator_weights_fingerprint",
    "embedder_sha256": "embedder_weights_fingerprint",
    "further_judges": "further_judges_weights_fingerprint",
}
"""Fields of a protocol of swaps."""
EMBEDDER = {"weights_sha256": "weights_fingerprint"}
"""Facts of an embedder beside the vectors that it gave."""
FILE = {"sha256": "file_sha256"}
"""Facts of a file that something was made from."""
CHECKPOINT = {"embedder_hash": "embedder_file_sha256", "judge_hashes": "identity_embedders_file_sha256"}
"""Of the checkpoint of a swapper's training."""
ALIGNED = {"origin": "origin_file_sha256"}
"""Of the report that `smoothswap align` writes beside its crops."""
_NOTES = {"embedder_sha256": "embedder_file_sha256"}
_ORIGIN = {"files": "file_sha256"}


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The values under today's names; one that is there under both keeps today's."""
    return {names.get(key, key): value for key, value in values.items() if names.get(key) not in values}


def current_notes(notes: Mapping[str, Any]) -> dict[str, Any]:
    """The notes of a model file with today's names; what others have noted stays as it is."""
    current = renamed(notes, _NOTES)
    for key, inner in (("converted_from", FILE), ("started_from", FILE), ("photographs", _ORIGIN)):
        if key in current:
            current[key] = _renamed_within(current[key], inner)
    return current


def _renamed_within(value: Any, names: Mapping[str, str]) -> Any:
    """Renamed in a mapping of facts, and in those that it or a list holds."""
    if isinstance(value, list):
        return [_renamed_within(one, names) for one in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: _renamed_within(one, names) if isinstance(one, Mapping) else one
        for key, one in renamed(value, names).items()
    }
