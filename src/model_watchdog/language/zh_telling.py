"""Chinese of what is said about telling: incidents, silences, acknowledgements."""

TELLING = {
    "still: {title}": "仍未恢复：{title}",
    "not acknowledged: {title}": "无人确认：{title}",
}
"""Phrases."""
