"""Bytes on a wire to messages and back: HTTP, WebSocket, DNS."""
