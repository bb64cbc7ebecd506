#!/usr/bin/env bash
# Compiled crates outlive a checkout: what this one has compiled of others' crates is kept in the cache, and a checkout that
# has compiled nothing yet begins with that. The crates of the workspace are left out: cargo judges them by their files'
# times, which say nothing across checkouts.
#
#   artifacts.sh restore    before the first build
#   artifacts.sh keep       after a build
set -euo pipefail
what="${1:-}"
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
cache="${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}"
target=target
mkdir -p "$cache" "$target"
# Cargo itself decides what fits, by hashes of its own; this only keeps what one lock file needs apart from another's.
kept="$cache/artifacts-$({ rustc -vV && cat Cargo.lock Cargo.toml .cargo/config.toml; } | sha256sum | cut -c1-16)"
exec 9>"$cache/artifacts.lock"
flock 9

# Hard links where the file system can: cargo replaces an artifact, and never writes into one. It does write into the small
# files that say what is fresh.
copy() {
    mkdir -p "$2"
    cp -a "$1/.fingerprint" "$2/"
    cp -al "$1/build" "$1/deps" "$2/" 2>/dev/null || cp -a "$1/build" "$1/deps" "$2/"
}
# What is whole: a crate that is still being compiled has a fingerprint already.
compiled() { find "$1/deps" -maxdepth 1 \( -name '*.rmeta' -o -name '*.rlib' \) 2>/dev/null | wc -l; }

case "$what" in
restore)
    [[ ! -e "$target/release" ]] || exit 0
    # Another lock file's are better than none: most crates are the same.
    [[ -d "$kept" ]] || kept=$(find "$cache" -maxdepth 1 -name 'artifacts-*' -type d -printf '%T@ %p\n' | sort -rn | sed -n '1s/^[^ ]* //p')
    [[ -n "$kept" ]] || exit 0
    echo "build: begins with what $kept holds" >&2
    rm -rf "$target/.restoring"
    copy "$kept/release" "$target/.restoring"
    mv -T "$target/.restoring" "$target/release"
    ;;
keep)
    copied=$(mktemp -d "$cache/keeping.XXXXXX")
    trap 'rm -rf "$copied"' EXIT
    copy "$target/release" "$copied/release"
    CARGO_TARGET_DIR="$copied" cargo clean --quiet --release --workspace
    (($(compiled "$copied/release") > $(compiled "$kept/release"))) || exit 0
    if [[ -d "$kept" ]]; then mv -T "$kept" "$copied/replaced"; fi
    mkdir "$copied/new"
    mv "$copied/release" "$copied/new/"
    mv -T "$copied/new" "$kept"
    # What older lock files needed; two are enough for a branch and its trunk.
    find "$cache" -maxdepth 1 -name 'artifacts-*' -type d -printf '%T@ %p\n' | sort -rn | sed -n '4,$s/^[^ ]* //p' | xargs -r rm -rf
    ;;
*)
    echo "artifacts.sh: $what is neither restore nor keep" >&2
    exit 2
    ;;
esac
