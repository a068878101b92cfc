"""Files of earlier versions call the digests otherwise; they are read as today's."""

from __future__ import annotations

import pytest

from smoothswap.core.old_names import EMBEDDER, PROTOCOL, current_notes, renamed


def test_notes_of_every_kind() -> None:
    assert current_notes(
        {
            "embedder_sha256": "aa",
            "converted_from": {"origin": "insightface", "file": "backbone.pth", "sha256": "bb"},
            "started_from": {
                "generator": {"file": "g", "sha256": "cc"},
                "discriminator": {"file": "d", "sha256": "dd"},
            },
            "photographs": [{"folder": "portraits", "files": {"LICENSE": "ee"}}, {"folder": "other", "what": "own"}],
        }
    ) == {
        "embedder_file_sha256": "aa",
        "converted_from": {"origin": "insightface", "file": "backbone.pth", "file_sha256": "bb"},
        "started_from": {
            "generator": {"file": "g", "file_sha256": "cc"},
            "discriminator": {"file": "d", "file_sha256": "dd"},
        },
        "photographs": [{"folder": "portraits", "file_sha256": {"LICENSE": "ee"}}, {"folder": "other", "what": "own"}],
    }


@pytest.mark.parametrize(
    "notes",
    [{}, {"sha256": "of somebody's own"}, {"files": {"a": 1}}, {"photographs": "text"}, {"embedder_file_sha256": "aa"}],
)
def test_what_others_noted_stays(notes: dict[str, object]) -> None:
    assert current_notes(notes) == notes


def test_todays_name_wins() -> None:
    assert renamed({"weights_sha256": "old", "weights_fingerprint": "new"}, EMBEDDER) == {"weights_fingerprint": "new"}
    assert renamed({"judge_sha256": "a", "judge": "sface"}, PROTOCOL) == {
        "judge_weights_fingerprint": "a",
        "judge": "sface",
    }
