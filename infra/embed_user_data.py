#!/usr/bin/env python3
"""Writes the user data of infra/user-data into infra/cluster.yaml, where nodes get it from.

    infra/embed_user_data.py            writes it
    infra/embed_user_data.py --check    fails where the template holds another text

CloudFormation takes user data from the template alone, so there is a copy; it is never edited by hand. The layout of the disks
is its parameter DiskLayout.
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
INDENT = " " * 16
# Where the layout stands.
LAYOUT = ("Environment=LAYOUT=", "pv-nvme")


def rendered() -> str:
    """What cloud-init is to be given."""
    return subprocess.run([sys.executable, RENDER, "--cloudformation"], stdout=subprocess.PIPE, text=True, check=True).stdout


def embedded(template: str, text: str) -> str:
    """The template with this text as the nodes' user data."""
    before, begin, rest = template.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{TEMPLATE}: the lines {BEGIN.strip()!r} and {END.strip()!r} are not both there")
    head, marker, tail = text.partition("".join(LAYOUT))
    if not marker or marker in tail:
        raise SystemExit(f"{RENDER}: its text does not have {marker!r} once")
    user_data = (
        '        UserData:\n          Fn::Base64: !Join\n            - ""\n'
        f"            - - |-\n{indented(head + LAYOUT[0])}              - !Ref DiskLayout\n              - |\n{indented(tail)}"
    )
    return f"{before}{begin}{user_data}{end}{after}"


def indented(text: str) -> str:
    """The lines of a literal block."""
    return "".join(f"{INDENT}{line}\n" if line else "\n" for line in text.rstrip("\n").split("\n"))


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
