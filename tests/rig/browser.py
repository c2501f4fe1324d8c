"""A headless Chromium, spoken to over a pipe (the DevTools protocol), which takes no library."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or ""


class Browser:
    """One page. `errors` are what its console complains of."""

    def __init__(self, directory: Path) -> None:
        to_browser, own_end = os.pipe()
        own_read, from_browser = os.pipe()
        command = [PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        command += ["--remote-debugging-pipe", f"--user-data-dir={directory}", "about:blank"]
        script = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
        ends = (to_browser, from_browser)
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(["bash", "-c", script, "bash", *command], pass_fds=ends, stdout=quiet, stderr=quiet)
        for end in ends:
            os.close(end)
        self._write, self._read = own_end, own_read
        self._data = b""
        self._number = 0
        self._session = ""
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> dict[str, Any]:
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(json.dumps(answer["params"]))

    def _receive(self, timeout: float = 30.0) -> dict[str, Any]:
        while b"\0" not in self._data:
            assert select.select([self._read], [], [], timeout)[0], "the browser says nothing"
            part = os.read(self._read, 1 << 20)
            assert part, "the browser has ended"
            self._data += part
        line, _, self._data = self._data.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def open(self, url: str, width: int = 1280, height: int = 900) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Page.navigate", url=url)

    def prepare(self, script: str) -> None:
        """It runs in each page from now on, before the page's own."""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def evaluate(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, expression: str, timeout: float = 10.0) -> float:
        """Until it is true; gives the seconds that it took."""
        began = time.monotonic()
        while not self.evaluate(expression):
            assert time.monotonic() - began < timeout, f"not within {timeout:g} s: {expression}; {self.evaluate('document.body.innerText')}"
            time.sleep(0.02)
        return time.monotonic() - began

    def shoot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        os.close(self._write)
        os.close(self._read)
