"""Many that fail together have one cause."""

from model_watchdog.core.common import CommonCause, CommonCausePolicy


def bad(count: int, every: float, policy: CommonCausePolicy | None = CommonCausePolicy()) -> CommonCause:  # noqa: B008
    common = CommonCause(policy)
    for number in range(count):
        common.see(f"s{number}", 100.0 + number * every, is_bad=True, is_restarting=False)
    return common


def test_a_few_or_one_after_the_other_are_no_group() -> None:
    assert not bad(3, 1.0).group and not bad(10, 6.0).group and not bad(4, 1.0, None).group
    assert bad(3, 1.0).object("s0", 100.0, 30.0) is None


def test_more_than_three_wait_a_round_and_then_go_one_at_a_time() -> None:
    common = bad(4, 1.0)
    held = common.object("s0", 104.0, 30.0)
    assert held is not None and held.key == "common_cause" and held.params == {"services": 4, "seconds": 29.0}
    assert common.object("s0", 133.0, 30.0) is None and common.object("elsewhere", 104.0, 30.0) is None
    common.see("s0", 133.0, is_bad=True, is_restarting=True)
    waits = common.object("s1", 133.0, 30.0)
    assert waits is not None and waits.key == "one_at_a_time" and waits.params["other"] == "s0"
    common.see("s0", 140.0, is_bad=False, is_restarting=True)
    assert common.object("s1", 140.0, 30.0) is not None, "it is being proved"
    common.see("s0", 150.0, is_bad=False, is_restarting=False)
    assert common.object("s1", 150.0, 30.0) is None and common.group.keys() == {"s1", "s2", "s3"}, "also of the three that are left"
    common.see("s1", 150.0, is_bad=True, is_restarting=True)
    assert common.object("s2", 150.0, 30.0) is not None


def test_another_policy_keeps_the_group_and_forgets_who_is_watched_no_longer() -> None:
    common = bad(4, 1.0)
    common.see("s0", 104.0, is_bad=True, is_restarting=True)
    common.follow(CommonCausePolicy(services=9), {"s0", "s1", "s2", "new"})
    assert common.group.keys() == common.bad.keys() == {"s0", "s1", "s2"}
    assert common.object("s1", 200.0, 30.0) is not None
    common.follow(CommonCausePolicy(), {"s1", "s2"})
    assert common.object("s1", 200.0, 30.0) is None, "who held it up is gone"
    common.follow(None, {"s1", "s2"})
    assert not common.group
