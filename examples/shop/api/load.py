"""Turns products.json (a ConfigMap) into products in Redis: the Job that fills the shop."""

import json
import sys
import time
from pathlib import Path

from resp import connect


def patiently(seconds):
    """A connection to Redis, which may still be starting."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return connect()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def main(path: str) -> None:
    products = json.loads(Path(path).read_text())
    redis = patiently(30)
    for product in products:
        redis("HSET", "products", product["id"], json.dumps(product))
    print(f"loaded {len(products)} products")


if __name__ == "__main__":
    main(sys.argv[1])
