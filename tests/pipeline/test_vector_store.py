"""Vectors that survive a stop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smoothswap.core.errors import InputError, WorkError
from smoothswap.pipeline.vector_store import VectorStore

Z = np.array([0.6, -0.8], np.float32)


def test_vectors_come_back_with_all_bits_and_stamps_count(tmp_path: Path) -> None:
    path = tmp_path / "vectors.jsonl"
    z = np.random.default_rng(0).normal(size=33).astype(np.float32)
    with VectorStore(path, {"size": 112}) as store:
        store.add([("a b/1.jpg", (10, 20), z)], [("ü.jpg", (1, 2), "no face found")])
    again = VectorStore(path, {"size": 112})
    read = again.vector("a b/1.jpg")
    assert read is not None
    assert read.tobytes() == z.tobytes()
    assert again.vector("ü.jpg") is None
    assert again.reason("ü.jpg") == "no face found"
    assert again.is_done("a b/1.jpg", (10, 20))
    assert not again.is_done("a b/1.jpg", (10, 21))
    assert again.is_done("ü.jpg", (1, 2))
    assert not again.is_done("other", (1, 2))


def test_a_line_cut_off_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "vectors.jsonl"
    with VectorStore(path, {}) as store:
        store.add([("1", (1, 1), Z), ("2", (1, 1), Z)])
    path.write_bytes(path.read_bytes()[:-9])
    with VectorStore(path, {}) as store:
        assert store.is_done("1", (1, 1))
        assert not store.is_done("2", (1, 1))
        store.add([("2", (1, 1), Z)])
    assert VectorStore(path, {}).is_done("2", (1, 1))
    path.write_text(path.read_text("utf-8").replace('"vector": "', '"vector": "!'), "utf-8")
    assert not VectorStore(path, {}).is_done("1", (1, 1))


def test_other_settings_are_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "vectors.jsonl"
    with VectorStore(path, {"face": "middle", "size": 112}) as store:
        store.add([("1", (1, 1), Z)])
    before = path.read_bytes()
    with pytest.raises(InputError, match="vectors made with other settings") as error:
        VectorStore(path, {"face": "largest", "size": 112})
    assert "face: 'middle' then, 'largest' now" in str(error.value)
    assert path.read_bytes() == before
    with pytest.raises(WorkError, match="not open"):
        VectorStore(path, {"face": "middle", "size": 112}).add([("2", (1, 1), Z)])
