"""`python -m leaks WORLD...`: secrets in what these worlds have logged and told; status 1 where there are any.

Read are the lines of the functions, of the state machines (each state's input and output), and the events. Neither the
secret nor the line that has it is printed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

# The id of an access key is none: CloudTrail has it in each entry, and the SDK's own debug lines have it beside the redacted
# secret. https://docs.aws.amazon.com/IAM/latest/UserGuide/security-creds-programmatic-access.html
SECRETS = {
    # What the functions show to the API server; it is a signed request in base64.
    "a bearer token of EKS": re.compile(r"k8s-aws-v1\.[A-Za-z0-9_-]{8}"),
    "a signature of AWS": re.compile(r"X-Amz-(Signature|Security-Token)=[A-Za-z0-9%]{8}|Signature=[0-9a-f]{64}"),
    # As STS makes them, here too.
    "a session token of AWS": re.compile(r"FQoGZXIvYXdz[A-Za-z0-9/+=]{8}|IQoJb3JpZ2lu[A-Za-z0-9/+=]{8}"),
    "a token of a service account": re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\."),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
KINDS = ("logs/functions/*.log", "logs/state-machines/*.log", "events.jsonl")


def found(line: str) -> list[str]:
    """What kinds of secrets a line has."""
    return [kind for kind, pattern in SECRETS.items() if pattern.search(line)]


def read(world: Path, kind: str) -> Iterator[tuple[Path, int, str]]:
    for path in sorted(world.glob(kind)):
        with path.open(errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                yield path, number, line


def main() -> int:
    parser = argparse.ArgumentParser(prog="leaks", description=__doc__.splitlines()[0])
    parser.add_argument("worlds", nargs="+", type=Path, metavar="WORLD", help="the directory of a world")
    lines = leaks = 0
    for world in parser.parse_args().worlds:
        for kind in KINDS:
            before = lines
            for path, number, line in read(world, kind):
                lines += 1
                for secret in found(line):
                    leaks += 1
                    print(f"{path}:{number} has {secret}")
            if lines == before:
                print(f"leaks: {world}: nothing in {kind}: nothing is proved by that", file=sys.stderr)
                return 2
    print(f"{lines} lines, {leaks} secrets in them")
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main())
