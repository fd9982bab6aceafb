"""Turns products.json (a ConfigMap) into products in Redis: the Job that fills the shop."""

import json
import sys
from pathlib import Path

from resp import connect


def main(path: str) -> None:
    products = json.loads(Path(path).read_text())
    redis = connect()
    for product in products:
        redis("HSET", "products", product["id"], json.dumps(product))
    print(f"loaded {len(products)} products")


if __name__ == "__main__":
    main(sys.argv[1])
