"""Replay in the config: no key, no replay; and a cap of its own."""

from __future__ import annotations

import pytest

from config.small import changed, mistakes_of
from lanewise.config import Config


def test_replay_without_a_storage_key_is_a_mistake() -> None:
    """Answers are only stored encrypted."""
    (mistake,) = mistakes_of(changed("router", value={"replay": "24h"}))
    assert mistake.place == "router.replay"
    assert "no key is named" in mistake.problem
    assert "storage_key_env" in mistake.fix


@pytest.mark.parametrize("value", [0, -1, "1 MB", True])
def test_the_cap_is_a_number_of_bytes(value: object) -> None:
    """A positive one."""
    router = {"replay": "24h", "storage_key_env": "STORAGE_KEY", "max_replay_bytes": value}
    (mistake,) = mistakes_of(changed("router", value=router))
    assert mistake.place == "router.max_replay_bytes"


def test_replay_is_carried_out() -> None:
    """It is not among what this version only reads."""
    config = Config.from_mapping(changed("router", value={"replay": "24h", "storage_key_env": "STORAGE_KEY"}))
    assert config.router.replay == 86400
    assert config.not_yet() == ()
