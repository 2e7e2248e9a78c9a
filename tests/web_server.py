"""A web server on this machine that misbehaves on demand."""

import contextlib
import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = hashlib.shake_128(b"a checkpoint").digest(300_000)


class Server(ThreadingHTTPServer):
    """Serves `BODY` at every path; each request uses up one of `faults`, then all is well."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults: list[str] = []
        self.paths: list[str] = []  # of all requests
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str = "model.pdparams") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    def next_fault(self, path: str) -> str:
        with self.lock:
            self.paths.append(path)
            return self.faults.pop(0) if self.faults else ""

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        fault, _, value = self.server.next_fault(self.path).partition(" ")
        if fault == "status":
            self.send_error(int(value))
        elif fault == "page":
            page = b"<!DOCTYPE html><html>Not here</html>"
            self.send_head({"Content-Type": value, "Content-Length": str(len(page))})
            self.send_body(page)
        elif fault == "to":
            self.send_head({"Location": value, "Content-Length": "0"}, status=302)
        else:
            length = {} if fault == "nolength" else {"Content-Length": str(len(BODY))}
            self.send_head({"Content-Type": "application/octet-stream", **length})
            cut = fault in ("cut", "nolength")
            self.send_body(
                BODY[: int(value)] if cut else BODY, pause=float(value) if fault == "slow" else 0.0
            )

    def send_head(self, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send_body(self, body: bytes, pause: float = 0.0) -> None:
        # The client may be killed, or have closed the connection.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for start in range(0, len(body), 8192):
                self.wfile.write(body[start : start + 8192])
                time.sleep(pause)

    def log_message(self, format: str, *args: object) -> None:
        pass
