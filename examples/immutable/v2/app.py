"""Turns HTTP requests into notes in a volume: version 2, which can search.

    GET  /notes       all notes, oldest first
    GET  /notes?WORD  those that have the word in them
    POST /notes       the body becomes a note -> 201
    GET  /version     which version answers

On SIGTERM it says ``Connection: close`` with every answer, goes on for DRAIN_SECONDS, and ends.
"""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

VERSION = "2"
NOTES = os.environ.get("NOTES_FILE", "/data/notes.jsonl")
DRAIN_SECONDS = float(os.environ.get("DRAIN_SECONDS", "1.5"))
LARGEST = 64 << 10

draining = threading.Event()


def add(text: str) -> dict[str, str]:
    """One write at the file's end: two versions may run side by side."""
    note = {"text": text, "by": VERSION}
    fd = os.open(NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(fd, json.dumps(note).encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
    return note


def notes() -> list[dict[str, str]]:
    try:
        with Path(NOTES).open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path, _, word = self.path.partition("?")
        if path == "/notes":
            self.answer(200, [note for note in notes() if word in note["text"]])
        elif self.path == "/version":
            self.answer(200, {"version": VERSION})
        else:
            self.answer(404, {"error": "no such page"})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        if self.path != "/notes" or length > LARGEST:
            self.close_connection = True
            self.answer(400, {"error": "a note of at most 64 kB belongs to /notes"})
            return
        self.answer(201, add(self.rfile.read(length).decode("utf-8", "replace")))

    def answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if draining.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def main() -> None:
    server = ThreadingHTTPServer(("", 8080), Handler)

    def drain(*_: object) -> None:
        draining.set()
        threading.Timer(DRAIN_SECONDS, server.shutdown).start()

    signal.signal(signal.SIGTERM, drain)
    server.serve_forever()


if __name__ == "__main__":
    main()
