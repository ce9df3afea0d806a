"""The HTTP side: who asks, what kind of request it is, its faults, and its answer."""

import base64
import gzip
import json
import traceback
import urllib.parse
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from graphql import DocumentNode, OperationType, parse

from . import stream
from .execution import ApiError, alias_of, execute, operation_of
from .model import StoredFile
from .mutations import mutation_root
from .queries import query_root

if TYPE_CHECKING:
    from .server import WandbServer

REFUSAL = "user is not logged in"


@dataclass
class Request:
    """A request that the server got.

    Attributes:
        kind: the name of the GraphQL operation, or file_stream, upload, download, other.
        body: the variables of a GraphQL operation, the JSON of a file_stream request.
        document: of a GraphQL operation.
    """

    kind: str
    path: str
    content: bytes
    body: Any = None
    document: DocumentNode | None = None


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    wandb: "WandbServer"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Their kinds are kept in `requests`, and nothing is printed."""

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        request = self._read(content)
        self.wandb.requests.append(request.kind)
        fault = self.wandb.faults.next_for(request.kind)
        if fault is not None and fault.delay:
            self.wandb.closing.wait(fault.delay)
        if fault is not None and fault.status is not None:
            message = REFUSAL if fault.status == 401 else "injected fault"
            self._send(fault.status, {"errors": [{"message": message}]})
            return
        try:
            with self.wandb.world.lock:
                status, answer = self._answer(request)
        except Exception:  # a gap of this server; it is raised when the server is closed
            self.wandb.errors.append(f"{request.kind} {request.body}\n{traceback.format_exc()}")
            status, answer = 500, {"errors": [{"message": "internal error of the test server"}]}
        if fault is not None and fault.drops_response:
            self.close_connection = True
            return
        self._send(status, answer)

    def _read(self, content: bytes) -> Request:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        request = Request("other", path, content)
        if path == "/graphql":
            operation = json.loads(content)
            request.body = operation.get("variables") or {}
            request.document = parse(operation["query"], no_location=True)
            name = operation_of(request.document).name
            request.kind = name.value if name else "graphql"
        elif path.endswith("/file_stream"):
            request.kind, request.body = "file_stream", json.loads(content)
        elif path.startswith("/storage/"):
            request.kind = "upload" if self.command == "PUT" else "download"
        return request

    def _answer(self, request: Request) -> tuple[int, Any]:
        if request.kind in ("upload", "download"):
            return self._file(request)
        has_key = self._knows_key()
        if request.kind == "file_stream":
            return self._stream(request) if has_key else (401, {"error": "invalid api key"})
        if request.document is None:
            return 404, {"error": "not found"}
        return self._graph(request.document, request.body, has_key)

    def _knows_key(self) -> bool:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return False
        user, _, key = base64.b64decode(token).decode().partition(":")
        return user == "api" and key == self.wandb.api_key

    def _graph(self, document: DocumentNode, variables: Any, has_key: bool) -> tuple[int, Any]:
        world = self.wandb.world
        operation = operation_of(document)
        is_query = operation.operation is OperationType.QUERY
        root = query_root(world) if is_query else mutation_root(world)
        first: Any = operation.selection_set.selections[0]
        alias, name = alias_of(first), first.name.value
        try:
            if not has_key and name == "viewer":
                return 200, {"data": {alias: None}}
            if not has_key and name != "serverInfo":
                raise ApiError(REFUSAL, status=401, code="PERMISSION_ERROR")
            return 200, {"data": execute(document, variables, root)}
        except ApiError as error:
            entry: dict[str, Any] = {"message": str(error), "path": [alias]}
            if error.code is not None:
                entry["extensions"] = {"code": error.code}
            return error.status, {"data": {alias: None}, "errors": [entry]}

    def _stream(self, request: Request) -> tuple[int, Any]:
        entity, project, name = request.path.strip("/").split("/")[1:4]
        run = self.wandb.world.find_run(self.wandb.world.find_project(entity, project), name)
        if run is None:
            return 404, {"error": f"run {name} not found"}
        answer = stream.receive(run, request.body)
        self.wandb.review(run)
        return 200, {**answer, "stopped": run.stopped}

    def _file(self, request: Request) -> tuple[int, Any]:
        world, key = self.wandb.world, request.path.removeprefix("/storage/")
        if request.kind == "download":
            return (200, world.blobs[key].content) if key in world.blobs else (404, b"")
        world.blobs[key] = StoredFile(key, request.content)
        for run in world.runs.values():
            if key.startswith(f"{run.path}/"):
                name = key.removeprefix(f"{run.path}/")
                run.files[name] = StoredFile(name, request.content)
        return 200, b""

    def _send(self, status: int, answer: Any) -> None:
        if not isinstance(answer, bytes):
            answer = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
