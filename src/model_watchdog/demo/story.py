"""The story of the demo, leg by leg, as it is told and held against what must be."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from model_watchdog.demo.stage import Stage, wait_until
from model_watchdog.wording import strip_controls, tell_event

CONFIG = """\
services:
  demo-model:
{what}
    startup: 5s
    probes:
      health: {{kind: http, url: "http://127.0.0.1:{port}{path}", every: 1s, timeout: 1s, retry_every: 1s}}
    recovery:
{how}      stable: 3s
      backoff: {{first: 1s, max: 4s}}
      breaker: {{failures: 3, restarts: 20, per: 1h, retry_after: 1h}}
notifiers:
  ops: {{kind: apprise, url: "json://{sink}", min_severity: warning}}
"""
_SHOWN = ("dead", "unhealthy", "restart_started", "restart_failed", "holding", "recovered", "gave_up", "not_told")


class LegFailed(Exception):
    """A leg did not go as it must; the text says which and how."""


class Story:
    """Prints the timeline as it happens, and holds what is seen from outside against what must be."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.began = time.monotonic()
        self.fault_at = self.began

    def say(self, text: str, mark: str = "") -> None:
        print(f"{time.monotonic() - self.began:5.1f} s  {text:<{66 if mark else 0}} {mark}".rstrip(), flush=True)

    def head(self, text: str) -> None:
        print(f" ── {text} {'─' * (72 - len(text))}", flush=True)

    def expect(self, what: str, is_true: Callable[[], bool], seconds: float, leg: str) -> None:
        """Waits for it, telling what the daemon records meanwhile; raises `LegFailed` when it does not come true."""

        def look() -> bool:
            self.tell_events()
            error = self.stage.daemon_error()
            if error:
                raise LegFailed(f"{leg}: {error}")
            return is_true()

        if not wait_until(look, seconds):
            raise LegFailed(f"{leg}: {what}: not within {seconds:g} s")
        self.tell_events()
        self.say(what, f"{time.monotonic() - self.fault_at:6.1f} s after the fault ✔" if self.fault_at != self.began else "✔")

    def tell_events(self) -> None:
        for event in self.stage.new_events():
            if event["event"] in _SHOWN:
                self.say(tell_event(event["event"], event["reason"]))

    def break_it(self, text: str) -> None:
        self.fault_at = time.monotonic()
        self.say(f"fault: {text}")


def tell(spoil: str, *, stay: bool) -> int:
    """0 where every leg went as it must, else 1. `spoil` is one of `SPOILS`, or nothing; who wants it to `stay` ends it with Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))  # the stage is taken down on every way out
    stage = Stage(spoil)
    story = Story(stage)
    try:
        _set_up(stage, story)
        _crash(stage, story)
        _hang(stage, story)
        _never_comes_back(stage, story)
    except LegFailed as failure:
        story.tell_events()
        story.say(f"FAILED  {failure}", "✘")
        return 1
    finally:
        try:
            story.head("how things stand")
            _show_status(stage)
            if stay and stage.page:
                story.say(f"the page and its report stay until Ctrl-C: {stage.page}  {stage.page}report?since=1d")
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
        finally:
            stage.close()
    print("\nEvery leg went as it must. Next: watchdog check, sudo watchdog install", flush=True)
    return 0


def _set_up(stage: Stage, story: Story) -> None:
    what, how = f"    unit: {stage.unit}", ""
    if not stage.uses_systemd:
        from model_watchdog.demo import service

        what = ""
        command = [sys.executable, "-I", service.__file__, "restart", str(stage.directory), str(stage.port)]
        how = f"      kind: command\n      command: {command!r}\n"
    path = "/lie" if stage.spoil == "probe" else "/health"
    stage.start_daemon(CONFIG.format(what=what, how=how, port=stage.port, path=path, sink=stage.start_sink()))
    by = f"unit {stage.unit}" if stage.uses_systemd else "own process; no systemd may be used here"
    story.say(f"a small model service is up on 127.0.0.1:{stage.port} ({by})")
    story.expect("healthy", lambda: stage.entry().get("state") == "healthy", 15, "setting up")
    if page := stage.start_page():
        story.say(f"to watch it in a browser, while this runs (--stay: until Ctrl-C): {page}")


def _crash(stage: Stage, story: Story) -> None:
    leg = "1 of 3: it crashes"
    story.head(leg)
    starts = stage.starts()
    if stage.spoil == "service":
        stage.set_mode("broken")
    story.break_it("kill -9")
    stage.kill()
    story.expect("a new process runs", lambda: stage.starts() > starts, 20, leg)
    story.expect("it answers, and is proved", lambda: stage.is_answering() and _is_proved(stage), 20, leg)
    _expect_message(stage, story, "well again", leg)


def _hang(stage: Stage, story: Story) -> None:
    leg = "2 of 3: it hangs"
    story.head(leg)
    starts = stage.starts()
    story.break_it("it accepts requests and never answers; its process is fine")
    stage.hang()
    story.expect("a new process runs", lambda: stage.starts() > starts, 30, leg)
    story.expect("it answers, and is proved", lambda: stage.is_answering() and _is_proved(stage), 20, leg)
    _expect_message(stage, story, "well again", leg)


def _never_comes_back(stage: Stage, story: Story) -> None:
    leg = "3 of 3: it never comes back"
    story.head(leg)
    starts = stage.starts()
    story.break_it("every start ends with exit 1")
    stage.set_mode("broken")
    stage.kill()
    story.expect("it gave up", lambda: stage.entry().get("breaker", {}).get("state") == "open", 60, leg)
    made = stage.starts() - starts
    if made != 3:
        raise LegFailed(f"{leg}: {made} restarts were made instead of 3")
    story.say("exactly 3 restarts, by the service's own count", "✔")
    _expect_message(stage, story, "could not be restarted", leg)


def _expect_message(stage: Stage, story: Story, words: str, leg: str) -> None:
    def arrived() -> bool:
        return any(words in message["title"] for message in stage.messages)

    story.expect("message delivered", arrived, 15, f"{leg}: message")
    message = next(message for message in stage.messages if words in message["title"])
    stage.messages.clear()
    print(
        "".join(f"         │ {line}\n" for line in [strip_controls(line) for line in [message["title"], *message["message"].splitlines()]]),
        end="",
        flush=True,
    )


def _is_proved(stage: Stage) -> bool:
    entry = stage.entry()
    return entry.get("state") == "healthy" and entry["recovery"]["phase"] == "idle"


def _show_status(stage: Stage) -> None:
    subprocess.run([sys.executable, "-P", "-m", "model_watchdog", "status", *stage.options()], check=False)
