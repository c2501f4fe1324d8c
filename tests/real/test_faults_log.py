"""A service's log in a real journal, and rules on it, as the installed daemon sees them."""

import json

from tests.conftest import FaultRow
from tests.rig.sinks import HttpSink
from tests.rig.stand import MODELS, Model, Stand
from tests.rig.waiting import holds_for, wait_until

RULES = json.dumps({"errors": {"metric": "log_consecutive_errors", "above": 4, "message": "{value} errors in a row"}})


def speaker(stand: Stand) -> Model:
    """A unit that writes to the journal whatever is appended to its file."""
    model = stand.model(program="/bin/true")
    stand.box.write(f"{MODELS}/{model.name}.say", "")
    model.write(program=f"/usr/bin/tail -n0 -s 0.1 -F {MODELS}/{model.name}.say")
    return model


def say(stand: Stand, model: Model, level: str, times: int = 1) -> None:
    line = json.dumps({"level": level, "message": "推理失败"}, ensure_ascii=False)
    stand.box.run("sh", "-c", f"for i in $(seq {times}); do echo '{line}' >> {MODELS}/{model.name}.say; done")


def counted(stand: Stand, model: Model) -> int:
    """Records of level ERROR, by the newest sample in the record."""
    (text,) = stand.ask_record(f"SELECT value FROM setting WHERE key = 'note {model.name}/log'") or [["{}"]]
    return int(json.loads(text[0]).get("tally", {}).get("levels", {}).get("ERROR", 0))


def test_fault_85_a_journal_that_is_rotated_vacuumed_and_restarted(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    model = speaker(stand)
    stand.start(model)
    probes = "{unit: {kind: unit, every: 1s}, log: {kind: log, journal: true, every: 500ms, timeout: 500ms}}"
    stand.watch(http_sink, model.config(probes=probes, rules=RULES))
    stand.wait_state("healthy", model)
    wait_until(lambda: "note" in str(stand.ask_record("SELECT key FROM setting")), 10, stand.log)
    say(stand, model, "ERROR", 3)
    wait_until(lambda: counted(stand, model) == 3, 10, lambda: f"{counted(stand, model)}\n{stand.log()}")
    stand.box.run("journalctl", "--rotate")
    say(stand, model, "ERROR", 1)
    wait_until(lambda: counted(stand, model) == 4, 10, lambda: f"{counted(stand, model)}\n{stand.log()}")
    stand.box.run("journalctl", "--rotate")
    stand.box.run("journalctl", "--vacuum-files=1")
    stand.box.systemctl("restart", "systemd-journald")
    holds_for(lambda: counted(stand, model) == 4, 2.0, stand.log)
    say(stand, model, "ERROR", 5)
    message = stand.message("errors fires")
    assert "errors in a row" in message.body, message.body
    written = stand.box.run("journalctl", "-u", model.unit, "-o", "short-unix").stdout
    wait_until(lambda: counted(stand, model) == 9, 10, lambda: f"{counted(stand, model)}: one twice, or lost\n{written}\n{stand.log()}")
    restarts = len(model.calls())  # systemd's journal has forgotten
    assert restarts == 0
    fault_row(85, "journal rotated, vacuumed, journald restarted", restarts, len(http_sink.messages))
