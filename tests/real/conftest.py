"""The stand on which the tests with real units are made."""

from collections.abc import Iterator

import pytest

from tests.rig.stand import Stand
from tests.rig.watched_box import WatchedBox


@pytest.fixture(scope="module")
def installed_stand(module_box: WatchedBox) -> Stand:
    """The daemon installed in the module's box."""
    stand = Stand(module_box)
    stand.install()
    return stand


@pytest.fixture
def stand(installed_stand: Stand) -> Iterator[Stand]:
    """A box with the daemon installed, to watch the models of one test; they and the daemon are ended after it."""
    yield installed_stand
    installed_stand.end()
