"""Headless Chromium over its DevTools protocol: open a page, look, click, take its picture."""

import base64
import contextlib
import itertools
import json
import re
import shutil
import subprocess
import tempfile
import urllib.request

import websocket

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
    "about:blank",
]


class Page:
    """One tab. `errors` and `requests` collect what a report must not have."""

    def __init__(self, address):
        self._socket = websocket.create_connection(address, timeout=60)
        self._ids = itertools.count(1)
        self.errors = []
        self.requests = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        self._socket.close()

    def call(self, method, **params):
        """The result of one DevTools command; what happens meanwhile is collected."""
        wanted = next(self._ids)
        self._socket.send(json.dumps({"id": wanted, "method": method, "params": params}))
        while (message := json.loads(self._socket.recv())).get("id") != wanted:
            self._collect(message)
        assert "error" not in message, message
        return message["result"]

    def _collect(self, message):
        method, params = message.get("method"), message.get("params")
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.errors.append([a.get("description", a.get("value")) for a in params["args"]])

    def run(self, script):
        """The value of a JavaScript expression, awaited if it is a promise."""
        result = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, url, width=1280, height=900, dark=False):
        """Load a report and wait until its charts are drawn."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=url)
        self.run(
            "new Promise(done => { const look = () => document.body?.dataset.drawn ? done(1) "
            ": setTimeout(look, 50); look(); })"
        )

    def move(self, x, y):
        """Move the mouse."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, path):
        """Save what the whole page looks like."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))


@contextlib.contextmanager
def chromium():
    """A Page of a browser of its own, with an empty profile; both are gone afterwards."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "these tests need Chromium: apt-get install chromium"
    with tempfile.TemporaryDirectory(prefix="ss-chromium-", ignore_cleanup_errors=True) as profile:
        command = [program, f"--user-data-dir={profile}", *FLAGS]
        browser = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            page = Page(_first_tab(browser))
            yield page
            page.close()
        finally:
            browser.terminate()
            browser.communicate(timeout=30)


def _first_tab(browser):
    for line in browser.stderr:
        if found := re.search(r"ws://([\d.:]+)/", line):
            break
    with urllib.request.urlopen(f"http://{found[1]}/json/list") as answer:
        return json.load(answer)[0]["webSocketDebuggerUrl"]
