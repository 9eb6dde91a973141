"""A stand-in for the Hugging Face Hub: answers what its client asks for, from memory, on this host.

What it answers was read off the client, huggingface_hub 2.4: model info, tree, files (HEAD, GET and
ranges), creation of a repository, upload by LFS and the commit. It has no Xet storage.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]
WRITER = "hf_writer"
READER = "hf_reader"
OWNER = "lab"


@dataclass
class Repository:
    """One repository: its commits, oldest first, and where its branches and tags point."""

    private: bool = False
    gated: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, files: Files, message: str = "") -> str:
        """A new commit on main that adds files to those of the last; returns its name."""
        whole = self.commits.get(self.refs.get("main", ""), {}) | files
        name = hashlib.sha1(repr((sorted(whole.items()), len(self.commits))).encode()).hexdigest()
        self.commits[name] = whole
        self.refs["main"] = name
        self.messages.append(message)
        return name

    def find(self, revision: str) -> str | None:
        """The commit of a branch, a tag or a commit."""
        found = self.refs.get(revision, revision)
        return found if found in self.commits else None


class HubStandIn:
    """The server and all it knows; tests change it as they like.

    Attributes:
        repositories: by "OWNER/NAME".
        requests: "METHOD /path" of all that was asked.
        ranges: the Range headers of all requests for files.
        cut: bodies of files end after so many bytes, so many times.
        status: every answer has it, where it is not None.
        silent: no answer is given until it is cleared.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.blobs: Files = {}
        self.requests: list[str] = []
        self.ranges: list[str] = []
        self.cut: tuple[int, int] = (0, 0)
        self.status: int | None = None
        self.going = threading.Event()
        self.going.set()
        self.connections: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        """What HF_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Answer, at the same address as before."""
        hub = self

        class Bound(_Handler):
            stand_in = hub

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Bound)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def forget_requests(self) -> None:
        """Count from here."""
        self.requests.clear()
        self.ranges.clear()


def is_large(path: str) -> bool:
    """Whether a file goes by LFS."""
    return path.endswith(".safetensors")


def git_name(data: bytes) -> str:
    """The name that git gives a file's content."""
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: HubStandIn

    def setup(self) -> None:
        super().setup()
        self.stand_in.connections.add(self.connection)

    def finish(self) -> None:
        self.stand_in.connections.discard(self.connection)
        super().finish()

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        hub = self.stand_in
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.requests.append(f"{self.command} {unquote(path)}")
        hub.going.wait(20)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if hub.status is not None:
            self._say(hub.status, {"error": "as told"})
        elif token and token not in (WRITER, READER) and not path.startswith("/lfs/"):
            self._refuse(401, "", "Invalid credentials in Authorization header")
        else:
            self._route(path, body, token)

    def _route(self, path: str, body: bytes, token: str) -> None:
        for pattern, answer in (
            (r"/api/validate-yaml", self._validated),
            (r"/api/repos/create", self._create),
            (r"/lfs/(?P<oid>\w+)", self._put),
            (r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", self._batch),
            (r"/api/models/(?P<repo>[^/]+/[^/]+)/preupload/(?P<rev>[^/]+)", self._preupload),
            (r"/api/models/(?P<repo>[^/]+/[^/]+)/commit/(?P<rev>[^/]+)", self._commit),
            (r"/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<rev>[^/]+)", self._tree),
            (r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/revision/(?P<rev>[^/]+))?", self._info),
            (r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<file>.+)", self._file),
        ):
            found = re.fullmatch(pattern, path)
            if found:
                given = {name: unquote(text or "") for name, text in found.groupdict().items()}
                return answer(given, body, token)
        return self._say(404, {"error": "no such address"})

    def _repository(self, given: dict[str, str], token: str) -> Repository | None:
        repository = self.stand_in.repositories.get(given["repo"])
        if repository is None or (repository.private and not token):
            self._refuse(404 if token else 401, "RepoNotFound", "Repository not found")
            return None
        return repository

    def _files(self, given: dict[str, str], token: str) -> tuple[str, Files, Repository] | None:
        repository = self._repository(given, token)
        if repository is None:
            return None
        commit = repository.find(given.get("rev") or "main")
        if commit is None and (repository.commits or given.get("rev")):
            self._refuse(404, "RevisionNotFound", "Invalid rev id")
            return None
        return commit or "0" * 40, repository.commits.get(commit or "", {}), repository

    def _info(self, given: dict[str, str], _: bytes, token: str) -> None:
        found = self._files(given, token)
        if found:
            commit, files, repository = found
            siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
            self._say(200, {
                "id": given["repo"], "sha": commit, "private": repository.private,
                "siblings": siblings,
            })  # fmt: skip

    def _tree(self, given: dict[str, str], _: bytes, token: str) -> None:
        found = self._files(given, token)
        if found:
            self._say(200, [_entry(name, data) for name, data in found[1].items()])

    def _file(self, given: dict[str, str], _: bytes, token: str) -> None:
        found = self._files(given, token)
        if found is None:
            return
        commit, files, repository = found
        data = files.get(given["file"])
        if repository.gated:
            self._refuse(403, "GatedRepo", "Access to model is restricted")
        elif data is None:
            self._refuse(404, "EntryNotFound", "Entry not found")
        else:
            self._send_file(given["file"], data, commit)

    def _send_file(self, name: str, data: bytes, commit: str) -> None:
        hub = self.stand_in
        etag = hashlib.sha256(data).hexdigest() if is_large(name) else git_name(data)
        asked = self.headers.get("Range") or ""
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        if self.command == "GET":
            hub.ranges.append(asked)
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(data) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        most, times = hub.cut
        if times and len(data) - start > most:
            hub.cut = (most, times - 1)
            self.wfile.write(data[start : start + most])
            self.close_connection = True
        else:
            self.wfile.write(data[start:])

    def _may_write(self, repository: str, token: str) -> bool:
        if token == WRITER and repository.startswith(f"{OWNER}/"):
            return True
        self._refuse(403 if token else 401, "", "You don't have the required permissions")
        return False

    def _create(self, _: dict[str, str], body: bytes, token: str) -> None:
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        if self._may_write(name, token):
            if name in self.stand_in.repositories:
                return self._refuse(409, "", "You already created this model repo")
            private = asked.get("visibility") == "private"
            self.stand_in.repositories[name] = Repository(private=private)
            self._say(200, {"url": f"{self.stand_in.address}/{name}"})
        return None

    def _validated(self, _: dict[str, str], body: bytes, __: str) -> None:
        starts_well = json.loads(body)["content"].startswith("---\n")
        self._say(200 if starts_well else 400, {"errors": [], "warnings": []})

    def _preupload(self, given: dict[str, str], body: bytes, token: str) -> None:
        if self._may_write(given["repo"], token):
            files = [
                {"path": each["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if is_large(each["path"]) else "regular"}
                for each in json.loads(body)["files"]
            ]  # fmt: skip
            self._say(200, {"files": files})

    def _batch(self, given: dict[str, str], body: bytes, token: str) -> None:
        if self._may_write(given["repo"], token):
            objects = [
                each
                | {"actions": {"upload": {"href": f"{self.stand_in.address}/lfs/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            self._say(200, {"transfer": "basic", "objects": objects})

    def _put(self, given: dict[str, str], body: bytes, _: str) -> None:
        assert hashlib.sha256(body).hexdigest() == given["oid"]
        self.stand_in.blobs[given["oid"]] = body
        self._say(200, {})

    def _commit(self, given: dict[str, str], body: bytes, token: str) -> None:
        repository = self._repository(given, token)
        if repository is None or not self._may_write(given["repo"], token):
            return
        files: Files = {}
        message = ""
        for item in map(json.loads, body.splitlines()):
            value = item["value"]
            if item["key"] == "header":
                message = value["summary"]
            elif item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.stand_in.blobs[value["oid"]]
        commit = repository.commit(files, message)
        address = f"{self.stand_in.address}/{given['repo']}/commit/{commit}"
        self._say(200, {"commitUrl": address, "commitOid": commit})

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._say(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

    def _say(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            if text:
                self.send_header(name, text)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _entry(name: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {
        "type": "file", "path": name, "size": len(data), "oid": git_name(data),
    }  # fmt: skip
    if is_large(name):
        sha256 = hashlib.sha256(data).hexdigest()
        entry["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 130}
    return entry
