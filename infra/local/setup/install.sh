#!/usr/bin/env bash
# Installs every pinned tool of the local world and prints, as its only line on standard output, the directory that holds
# them ($TIDEGATE_TOOLS). Progress goes to standard error. What is there already is left alone, so calling this always is cheap.
#
# Each tool lies in a directory of its own below the cache, named by the hash of all that defines it (its definition files and
# its recipe): a changed pin is a new directory, and an older checkout still finds its own. A directory counts as installed
# when it holds the file .complete, which is written last; one that was cut off before that is begun again.
set -euo pipefail
{ # Read as a whole before anything runs: a checkout that is updated meanwhile would change the script under bash's feet.
exec 3>&1 1>&2 # descriptor 3 is the caller's standard output

say() { printf 'setup: %s\n' "$*"; }
fail() {
    say "$*"
    exit 1
}

cd "$(dirname "${BASH_SOURCE[0]}")"
cache="${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}"
source ./recipes.sh

# Command and the Debian package that holds it.
missing=()
while read -r command package; do
    command -v "$command" >/dev/null || missing+=("$command (Debian package $package)")
done <<'NEEDED'
python3 python3-venv
go golang-go, or https://go.dev/dl
node nodejs
npm npm
java openjdk-17-jdk-headless
javac openjdk-17-jdk-headless
mvn maven
flock util-linux
setpriv util-linux
NEEDED
((${#missing[@]} == 0)) || fail "missing on this machine: $(printf '%s, ' "${missing[@]}" | sed 's/, $//')."

# A virtual environment belongs to the interpreter that made it.
interpreter="$(python3 -c 'import sys; print(sys.version, sys.base_prefix)')"
declare -A key
for tool in "${tools[@]}"; do
    key[$tool]="$({
        uname -m
        if needs_interpreter "$tool"; then echo "$interpreter"; fi
        declare -f "recipe_$tool" virtual_environment go_build
        # shellcheck disable=SC2046 # a definition is a list of files without spaces
        cat $(definition "$tool")
    } | sha256sum | cut -c1-16)"
done
directory_of() { echo "$cache/$1-${key[$1]}"; }
installed() { [[ -e "$(directory_of "$1")/.complete" ]]; }
result="$cache/tools-$({
    for tool in "${tools[@]}"; do echo "$tool ${key[$tool]}"; done
    declare -f assemble link_commands
} | sha256sum | cut -c1-16)"

all_installed() {
    local tool
    for tool in "${tools[@]}"; do installed "$tool" || return 1; done
    [[ -d "$result" ]]
}
finish() {
    echo "$result" >&3
    exit 0
}
all_installed && finish

python3 -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "python3 must be 3.11 or newer, with the modules venv and ensurepip (Debian packages python3, python3-venv)."
# From 1.21 on, go fetches the toolchain that a module asks for when its own is older.
(cd / && GOTOOLCHAIN=local go version) | grep -qE 'go1\.(2[1-9]|[3-9][0-9])' ||
    fail "go must be 1.21 or newer (https://go.dev/dl); this is $(cd / && GOTOOLCHAIN=local go version)."

mkdir -p "$cache/logs"
exec 9>"$cache/install.lock"
if ! flock --nonblock 9; then
    say "another installation is under way; waiting for it."
    flock 9
fi
all_installed && finish

# What this shell has started, each in a process group of its own: bash heeds a signal only between two commands, or while it
# waits for one in the background, and an interrupted installation must not go on behind the caller's back.
groups=()
end_groups() {
    local group
    for group in "${groups[@]}"; do kill -- "-$group" 2>/dev/null || true; done
}
end_groups_with_this_shell() {
    groups=()
    trap end_groups EXIT
    trap 'exit 130' INT TERM
}
start_group() {
    set -m
    "$@" </dev/null &
    groups+=($!)
    set +m
}

install_tool() {
    local tool="$1" target log status=0 started=$SECONDS
    installed "$tool" && return
    target="$(directory_of "$tool")" log="$cache/logs/$tool.log"
    say "$tool ..."
    rm -rf "$target"
    mkdir "$target"
    start_group run_recipe "$tool" "$target" >"$log" 2>&1 3>&-
    wait "${groups[-1]}" || status=$?
    unset 'groups[-1]'
    ((status == 0)) || fail "installing $tool failed: $(grep -v '^[[:space:]]*$' "$log" | tail -1) (whole log: $log)"
    say "$tool installed in $((SECONDS - started)) s."
}
run_recipe() {
    set -e
    "recipe_$1" "$2"
    touch "$2/.complete"
}

compile() {
    local tool
    end_groups_with_this_shell
    for tool in "${compiled[@]}"; do install_tool "$tool"; done
}
still_compiling() {
    local tool
    for tool in "${compiled[@]}"; do
        if ! installed "$tool"; then
            say "still compiling $tool, $SECONDS s so far (about 10 minutes the first time on two cores) ..."
            return
        fi
    done
}

end_groups_with_this_shell
trap 'say "cut off; run it again to go on."; exit 130' INT TERM
start_group compile
compiling="${groups[-1]}"

for tool in "${tools[@]}"; do
    [[ " ${compiled[*]} " == *" $tool "* ]] || install_tool "$tool"
done
while kill -0 "$compiling" 2>/dev/null; do
    for ((waited = 0; waited < 60; waited++)); do
        kill -0 "$compiling" 2>/dev/null || break 2
        sleep 1
    done
    still_compiling
done
wait "$compiling" || exit 1

assembling="$(mktemp -d "$cache/assembling.XXXXXX")"
assemble "$assembling"
chmod 755 "$assembling"
mv -T "$assembling" "$result"
say "all tools installed in $SECONDS s."
finish
}
