"""The profiles' rule on the speed of canaries: half of what was usual is told, and the noise of a well server is not."""

import random
from pathlib import Path

import pytest

from model_watchdog.config.loading import load
from model_watchdog.core.alert import Alert
from model_watchdog.core.sample import SeriesId


@pytest.mark.parametrize(("after", "fires"), [(1.0, False), (0.8, False), (0.45, True)])
def test_about_half_the_tokens_a_second_is_degraded(tmp_path: Path, after: float, fires: bool) -> None:
    path = tmp_path / "config.yaml"
    path.write_text('services: {m: {unit: m, server: vllm, url: "http://127.0.0.1:8000"}}\n')
    config = load(path, environment={}, credentials_dir=None, strict_secrets=True)
    (rule,) = [rule for rule in config.services["m"].core.rules if rule.name == "slow-tokens"]
    assert rule.means == "degraded"
    alert, chance, fired = Alert.on(rule, SeriesId(rule.selector.metric)), random.Random(7), False
    for number in range(1440):
        usual = chance.gauss(60.0, 4.0) * (1.0 if number < 720 else after)
        alert.judge(usual, 60.0 * number)
        assert not (alert.is_firing and number < 720)
        fired |= alert.is_firing
    assert fired is fires
