#!/usr/bin/env python3
"""Prints the user data of a node: it installs the disk set-up, and runs it for the first time.

    infra/user-data/render.py                     for a launch template, as it is
    infra/user-data/render.py --layout pv-raid    all disks as one array
    infra/user-data/render.py --cloudformation    the same, for infra/cluster.yaml to embed

MIME multipart, to which EKS adds its own part for a managed node group. The shell script ends before the kubelet starts.
https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html#launch-template-user-data
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# EC2's limit, before the text is encoded.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html
MOST_BYTES = 16 * 1024
BOUNDARY = "tidegate"
END = "TIDEGATE_END_OF_FILE"


def installed(path: str, mode: str, text: str) -> str:
    """Shell that writes a file, to the letter."""
    if END in text:
        raise SystemExit(f"{path}: its text holds {END}")
    return f"install -D -m {mode} /dev/stdin {path} <<'{END}'\n{text.rstrip()}\n{END}\n"


def user_data(layout: str) -> str:
    script = (HERE / "set-up-disks.sh").read_text()
    unit = (HERE / "tidegate-disks.service").read_text().replace("LAYOUT=pv-nvme", f"LAYOUT={layout}")
    shell = (
        "#!/bin/bash\n"
        + installed("/usr/local/sbin/tidegate-set-up-disks", "755", script)
        + installed("/etc/systemd/system/tidegate-disks.service", "644", unit)
        + "systemctl daemon-reload\n"
        # A disk that is left out must not end cloud-init: the node's join says so.
        + "systemctl enable --now tidegate-disks.service || true\n"
    )
    text = (
        f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{BOUNDARY}"\n\n'
        f'--{BOUNDARY}\nContent-Type: text/x-shellscript; charset="us-ascii"\n\n{shell}\n--{BOUNDARY}--\n'
    )
    size = len(text.encode("ascii"))
    if size > MOST_BYTES:
        raise SystemExit(f"the user data has {size} bytes, and may have {MOST_BYTES}")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layout", choices=("pv-nvme", "pv-raid"), default="pv-nvme")
    # A literal block of YAML needs nothing else: no substitution is made in it.
    parser.add_argument("--cloudformation", action="store_true", help="as infra/cluster.yaml embeds it")
    sys.stdout.write(user_data(parser.parse_args().layout))


if __name__ == "__main__":
    main()
