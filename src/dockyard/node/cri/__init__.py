"""The CRI over the engine: sandboxes and containers of pods come in, the engine's calls go out."""
