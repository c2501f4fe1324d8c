"""The answers on the control socket: `{"ok": true, "text": …}` or `{"ok": false, "error": WORD, "text": …}`."""

from typing import TYPE_CHECKING, Any

from model_watchdog.language import phrase

if TYPE_CHECKING:
    from model_watchdog.daemon import Daemon

Answer = dict[str, Any]


def refuse(error: str, text: str, **more: Any) -> Answer:
    """Nothing was done, and why not."""
    return {"ok": False, "error": error, "text": text, **more}


async def keep(daemon: "Daemon") -> str:
    """Waits until what was done is in the record; what to add to an answer that says "done", where that could not be."""
    if await daemon.store.commit():
        return ""
    lost = "; the record cannot be written, so a restart of the daemon would forget it: df -h {directory}"
    return phrase(lost, directory=daemon.state_dir)
