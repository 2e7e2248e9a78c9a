"""A web server on this machine that misbehaves on demand."""

import contextlib
import hashlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = hashlib.shake_128(b"a checkpoint").digest(300_000)


class Server(ThreadingHTTPServer):
    """Serves `body` at every path; `faults` are used up one per request, then all is well."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = BODY
        self.etag: str | None = '"one"'
        self.faults: list[str] = []
        self.ranges: list[str | None] = []  # the Range header of every request
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str = "model.pdparams") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    def next_fault(self, asked: str | None) -> str:
        with self.lock:
            self.ranges.append(asked)
            return self.faults.pop(0) if self.faults else ""

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        fault = self.server.next_fault(asked)
        name, _, value = fault.partition(" ")
        if name == "status":
            self.send_error(int(value))
        elif name == "page":
            self.answer(200, b"<!DOCTYPE html><html>Not here</html>", kind=value)
        elif name == "to":
            self.send_response(302)
            self.send_header("Location", value)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif asked and name != "whole":
            match = re.fullmatch(r"bytes=(\d+)-", asked)
            assert match
            self.answer(206, self.server.body, int(match[1]), fault=fault)
        else:
            self.answer(200, self.server.body, fault=fault)

    def answer(
        self,
        status: int,
        body: bytes,
        start: int = 0,
        kind: str = "application/octet-stream",
        fault: str = "",
    ) -> None:
        name, _, value = fault.partition(" ")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if name != "nolength":
            self.send_header("Content-Length", str(len(body) - start))
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        if status == 206:
            first = start + 5 if name == "wrongrange" else start
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        # The client may be killed, or have had enough.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_body(body[start:], name, value)

    def send_body(self, body: bytes, name: str, value: str) -> None:
        if name in ("cut", "nolength"):
            body = body[: int(value)]
        if name == "slow":
            for start in range(0, len(body), 8192):
                self.wfile.write(body[start : start + 8192])
                time.sleep(float(value))
        elif name == "drip":
            for byte in body[:200]:
                self.wfile.write(bytes([byte]))
                time.sleep(float(value))
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass
