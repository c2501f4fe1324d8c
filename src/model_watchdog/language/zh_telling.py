"""Chinese of what is said about telling: incidents, silences, acknowledgements."""

TELLING = {
    "still: {title}": "仍未恢复：{title}",
    "not acknowledged: {title}": "无人确认：{title}",
}
"""Phrases."""

FAULTS = {
    "expected a list of windows in [ ]": "须为 [ ] 中的窗口列表",
    "{text} is no cron expression: {what}": "{text} 不是 cron 表达式：{what}",
    "it has {count} fields, not five": "有 {count} 个字段，而不是五个",
    "{word} is no day of the week": "{word} 不是星期几",
    "takes either cron and for, or from and until": "要么写 cron 和 for，要么写 from 和 until",
    "for must lie between 1m and 7d": "for 必须在 1m 到 7d 之间",
    "until must lie after from": "until 必须晚于 from",
    'from and until are written like "2026-12-24 22:00"': 'from 和 until 写作 "2026-12-24 22:00"',
    "every must be a number of days, such as 1d or 7d": "every 须为整天数，如 1d 或 7d",
    "timeout must be at least 100ms": "timeout 至少 100ms",
    "every must be at least 1s": "every 至少 1s",
    "there is no notifier {text}": "没有通知渠道 {text}",
    "is this notifier itself; name another": "就是该通知渠道自己；请写另一个",
    "no service is like {text}": "没有符合 {text} 的服务",
    'a time of day is written in quotes, like "22:00"': '时刻写在引号中，如 "22:00"',
    "repeat_every must be at least 10s": "repeat_every 至少 10s",
    "group_wait must be at most 10m": "group_wait 至多 10m",
}
"""Of the configuration: as in `zh_faults`."""
