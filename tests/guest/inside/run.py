"""Runs the cases of the file that the kernel's command line names; a line of JSON a case."""

import faulthandler
import importlib
import json
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

CASE_SECONDS = 120


def cases() -> tuple[list[tuple[str, Callable[[], None]]], Callable[[], None]]:
    """The functions, in the order of the file, and what prepares the machine for them."""
    line = Path("/proc/cmdline").read_text()
    found = re.search(r"guest\.cases=(\w+)", line)
    assert found, line
    module = importlib.import_module(f"inside.{found[1]}")
    return [pair for pair in vars(module).items() if pair[0].startswith("test_")], module.prepare


def main() -> None:
    listed, prepare = cases()
    with Path("/dev/ttyS1").open("w") as port:
        prepare()
        for name, case in listed:
            print("case", name, flush=True)
            faulthandler.dump_traceback_later(CASE_SECONDS, exit=True)
            try:
                case()
            except BaseException:
                said = {"case": name, "ok": False, "text": traceback.format_exc()}
                traceback.print_exc()
            else:
                said = {"case": name, "ok": True, "text": ""}
            faulthandler.cancel_dump_traceback_later()
            port.write(json.dumps(said) + "\n")
            port.flush()


if __name__ == "__main__":
    sys.path.insert(0, "/opt")
    main()
