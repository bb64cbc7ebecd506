#!/usr/bin/env python3
"""Writes the user data of infra/user-data into infra/cluster.yaml, where nodes get it from.

    infra/embed_user_data.py            writes it
    infra/embed_user_data.py --check    fails where the template holds another text

CloudFormation takes user data from the template alone, so there is a copy; it is never edited by hand.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

INFRA = Path(__file__).resolve().parent
TEMPLATE = INFRA / "cluster.yaml"
RENDER = INFRA / "user-data" / "render.py"
BEGIN = "        # begin user data: written by `make cluster-user-data` from infra/user-data\n"
END = "        # end user data\n"
INDENT = " " * 12


def rendered() -> str:
    """What cloud-init is to be given."""
    return subprocess.run([sys.executable, RENDER, "--cloudformation"], stdout=subprocess.PIPE, text=True, check=True).stdout


def embedded(template: str, text: str) -> str:
    """The template with this text as the nodes' user data."""
    before, begin, rest = template.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{TEMPLATE}: the lines {BEGIN.strip()!r} and {END.strip()!r} are not both there")
    lines = "".join(f"{INDENT}{line}\n" if line else "\n" for line in text.rstrip("\n").split("\n"))
    return f"{before}{begin}        UserData:\n          Fn::Base64: |\n{lines}{end}{after}"


def main() -> int:
    template = TEMPLATE.read_text()
    wanted = embedded(template, rendered())
    if sys.argv[1:] == ["--check"]:
        if wanted != template:
            print(f"{TEMPLATE} does not hold what infra/user-data renders: make cluster-user-data", file=sys.stderr)
        return int(wanted != template)
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    TEMPLATE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
