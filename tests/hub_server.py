"""A small Hugging Face Hub on this machine: the requests that huggingface_hub makes to download and to upload."""

import base64
import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


class HubServer(ThreadingHTTPServer):
    """Serves the files of `repositories`; `faults` ("status 500", "cut 9") hold until removed."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.faults: dict[str, str] = {}  # file -> what happens to it
        self.asked: list[str] = []  # METHOD and path of every request
        self.tokens: set[str | None] = set()
        self.private: set[str] = set()  # repositories that were made so
        self.messages: list[str] = []  # of commits
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def downloaded(self) -> list[str]:
        """Files whose content was sent, in alphabetical order."""
        sent = [line.partition("/resolve/")[2] for line in self.asked if line.startswith("GET")]
        return sorted(path.partition("/")[2] for path in sent if path)

    def add(self, repository: str, folder: Path) -> None:
        self.repositories[repository] = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    def commit(self, repository: str) -> str:
        digest = hashlib.sha1(repository.encode())
        for name, data in sorted(self.repositories[repository].items()):
            digest.update(name.encode() + data)
        return digest.hexdigest()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: HubServer

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.server.asked.append(f"{self.command} {path}")
        self.server.tokens.add(self.headers.get("Authorization"))
        api = path.startswith("api/models/")
        repository = "/".join(path.removeprefix("api/models/").split("/")[:2])
        files = self.server.repositories.get(repository)
        if files is None:
            self.refuse("RepoNotFound")
            return
        commit = self.server.commit(repository)
        _, _, rest = path.partition(repository + "/")
        action, _, rest = rest.partition("/")
        revision, _, name = rest.partition("/")
        if revision not in ("", "main", "v1", commit):
            self.refuse("RevisionNotFound")
        elif not api and action == "resolve":
            self.send_file(name, files, commit)
        elif action == "tree":
            entries = [
                {"type": "file", "path": file, "size": len(data), "oid": _oid(data)}
                for file, data in files.items()
            ]
            self.send_json(entries)
        else:
            siblings = [{"rfilename": file} for file in files]
            self.send_json({"id": repository, "sha": commit, "siblings": siblings})

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.server.asked.append(f"POST {path}")
        self.server.tokens.add(self.headers.get("Authorization"))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "POST" in self.server.faults:
            self.send_error(int(self.server.faults["POST"]))
        elif path == "api/repos/create":
            self.create(json.loads(body))
        elif path == "api/validate-yaml":
            self.send_json({"errors": [], "warnings": []})
        elif path.rpartition("/")[2] not in ("main", "v1"):
            self.refuse("RevisionNotFound")
        elif "/preupload/" in path:
            files = json.loads(body)["files"]
            how = {"uploadMode": "regular", "shouldIgnore": False}
            self.send_json({"files": [{"path": file["path"], **how} for file in files]})
        else:
            repository, _, _ = path.removeprefix("api/models/").partition("/commit/")
            self.take(repository, [json.loads(line) for line in body.splitlines()])

    def create(self, wanted: dict[str, str | bool]) -> None:
        owner, name = wanted.get("organization", "me"), wanted["name"]
        repository = f"{owner}/{name}"
        self.server.repositories.setdefault(repository, {})
        if wanted.get("private") or wanted.get("visibility") == "private":
            self.server.private.add(repository)
        self.send_json({"url": f"{self.server.address}/{repository}"})

    def take(self, repository: str, operations: list[dict[str, Any]]) -> None:
        """Carry out a commit, whose files are all small ones here."""
        files = self.server.repositories[repository]
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "header":
                self.server.messages.append(value["summary"])
            else:
                files[value["path"]] = base64.b64decode(value["content"])
        commit = self.server.commit(repository)
        url = f"{self.server.address}/{repository}/commit/{commit}"
        self.send_json({"success": True, "commitOid": commit, "commitUrl": url})

    def send_file(self, name: str, files: dict[str, bytes], commit: str) -> None:
        kind, _, value = self.server.faults.get(name, "").partition(" ")
        if name not in files:
            self.refuse("EntryNotFound")
        elif kind == "status":
            self.send_error(int(value))
        else:
            data = files[name]
            self.send_head(len(data), {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": commit})
            self.send_body(data[: int(value)] if kind == "cut" else data)

    def send_json(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_head(len(data), {"Content-Type": "application/json"})
        self.send_body(data)

    def send_head(self, length: int, headers: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send_body(self, data: bytes) -> None:
        # The client may have closed the connection.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if self.command != "HEAD":
                self.wfile.write(data)

    def refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def _oid(data: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
