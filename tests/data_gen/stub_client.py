"""How the tests of the stub talk to it: http.client, so that nothing is retried, pooled or explained away."""

import http.client
import json
from collections import Counter

from tests.openai_server import StubServer

KEY = "sk-never-to-be-written"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
BROKEN = (ConnectionError, http.client.HTTPException, TimeoutError)


class Client:
    """One connection at a time, and no opinion about errors."""

    def __init__(self, server: StubServer, timeout: float = 5):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)

    def ask(self, method: str, path: str, body=None, headers=HEADERS):
        data = json.dumps(body) if isinstance(body, dict) else body
        self.connection.request(method, f"/v1{path}", data, headers)
        reply = self.connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()

    def json(self, method: str, path: str, body=None):
        status, _, data = self.ask(method, path, body)
        return status, json.loads(data)

    def upload(self, lines: list[dict]):
        parts = [b'--mark\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n',
                 b'--mark\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n'
                 b"Content-Type: application/octet-stream\r\n\r\n",
                 "\n".join(map(json.dumps, lines)).encode(), b"\r\n--mark--\r\n"]  # fmt: skip
        form = HEADERS | {"Content-Type": "multipart/form-data; boundary=mark"}
        return self.ask("POST", "/files", b"".join(parts), form)


def chat(text: str = "Tell a story.", **more) -> dict:
    return {"model": "stub", "messages": [{"role": "user", "content": text}], **more}


def lines(count: int) -> list[dict]:
    return [{"custom_id": f"id-{i}", "method": "POST", "url": "/v1/chat/completions", "body": chat(f"Story {i}.")}
            for i in range(count)]  # fmt: skip


def create(client: Client, file: str):
    given = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h",
             "metadata": {"run": "r1"}}  # fmt: skip
    return client.json("POST", "/batches", given)


def run_batch(server: StubServer, count: int = 10) -> tuple[dict, list[dict], list[dict]]:
    """Uploads, creates and polls to the end; the batch and the lines of its output and error file."""
    client = Client(server)
    status, batch = create(client, json.loads(client.upload(lines(count))[2])["id"])
    assert status == 200, batch
    for _ in range(20):
        status, seen = client.json("GET", f"/batches/{batch['id']}")
        if status == 200 and seen["status"] in ("completed", "failed", "expired", "cancelled"):
            break
    files = []
    for name in "output_file_id", "error_file_id":
        data = client.ask("GET", f"/files/{seen[name]}/content")[2].decode() if seen[name] else ""
        files.append([json.loads(line) for line in data.splitlines()])
    return seen, files[0], files[1]


def ids(rows: list[dict]) -> Counter[str]:
    return Counter(row["custom_id"] for row in rows)
