"""kill -9 in the path of messages: nothing is lost, nothing is told three times, and what fires is told to be over."""

import os
from pathlib import Path

import pytest

from tests.rig.dying_teller import kill_often

KILLS = int(os.environ.get("TELLING_KILLS", "20"))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.alone  # its clock runs a hundred times as fast: a machine that is busy makes minutes of its pauses
def test_killed_at_any_moment(tmp_path: Path, seed: int) -> None:
    toll = kill_often(tmp_path, KILLS, seed)
    print(toll)
    assert (toll.lost, toll.dangling, toll.unfounded) == (0, 0, 0), toll
    assert toll.duplicates <= KILLS, toll
    assert toll.messages > 3 * KILLS, "it was killed in the middle of something"
