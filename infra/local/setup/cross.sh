#!/usr/bin/env bash
# Installs what cargo-lambda needs to build for the other processor, and prints the directory of zig: only `make package`
# calls it, as zig is 411 MB that nothing else needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
requirements=python/requirements-zig.txt
cache="${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}"
directory="$cache/zig-$({ uname -m && cat "$requirements"; } | sha256sum | cut -c1-16)"
mkdir -p "$cache"
exec 9>"$cache/zig.lock"
flock 9
if [[ ! -e "$directory/.complete" ]]; then
    echo "setup: zig ..." >&2
    rm -rf "$directory"
    python3 -m pip install --no-input --disable-pip-version-check --quiet --no-deps --target "$directory" -r "$requirements" >&2
    touch "$directory/.complete"
fi
for target in aarch64-unknown-linux-gnu x86_64-unknown-linux-gnu; do
    rustup target list --installed | grep -qx "$target" || rustup target add "$target" >&2
done
echo "$directory/ziglang"
