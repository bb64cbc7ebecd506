#!/usr/bin/env bash
# Writes python/requirements-*.lock.txt anew: every version that the pinned requirements bring with them today.
# For whoever changes a pin; install.sh only reads the result.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/python"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
(($#)) || set -- world validation awscli spark
for requirements in "$@"; do
    python3 -m venv "$work/$requirements"
    "$work/$requirements/bin/python3" -m pip install --quiet --disable-pip-version-check -r "requirements-$requirements.txt"
    {
        echo "# Written by lock.sh."
        "$work/$requirements/bin/python3" -m pip freeze --disable-pip-version-check
    } >"requirements-$requirements.lock.txt"
done
