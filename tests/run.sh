#!/usr/bin/env bash
# All tests of this repository, from formatting to the cases end to end. Ends with the line "N passed, N failed".
#
#   tests/run.sh            everything
#   tests/run.sh quick      without the local world: seconds, once everything is built
#   tests/run.sh world      only what needs the local world
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
what="${1:-all}"
case "$what" in all | quick | world) ;; *)
    echo "tests/run.sh: $what is neither all, quick nor world" >&2
    exit 2
    ;;
esac

export CARGO_TARGET_DIR="$PWD/target"
# Worlds of the tests' own, so that one that somebody plays with is left alone: one for cases side by side, and one for
# those that take something away from a whole world. Those mostly wait, so they run beside the others.
export TIDEGATE_WORLD="$PWD/.world-tests"
lonely_world="$PWD/.world-tests-alone"
# One in which nothing is set up yet, and one that is set up and then taken away, stack and all.
bare_world="$PWD/.world-tests-bare"
ending_world="$PWD/.world-tests-ending"
# The same of the samples, whose masters are pods.
prod_world="$PWD/.world-tests-prod"
dev_world="$PWD/.world-tests-dev"
worlds=("$TIDEGATE_WORLD" "$lonely_world" "$bare_world" "$ending_world" "$prod_world" "$dev_world")
# As in tests/nextest.toml.
lonely='test(/^(outages|retention|drift|drift_left|spark)::/) | test(never_persisted) | test(redriven)'
bare='test(/^bootstrap::/)'
samples='test(/^samples::/)'
ending='test(/^destroy::/)'
export PYTHONPATH="$PWD/infra/local" PYTHONDONTWRITEBYTECODE=1
export SAM_CLI_TELEMETRY=0 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION=us-west-2 NO_COLOR=1
logs="$PWD/target/test-logs"
mkdir -p "$logs"
passed=0 failed=0
tools=$(infra/local/setup/install.sh) || exit 1
export TIDEGATE_TOOLS="$tools" PATH="$tools/bin:$PATH"

say() { printf '%s\n' "$*"; }

# run NAME COMMAND...: counts as one test, or as many as its runner says it ran.
run() {
    begin "$@"
    await "$1"
}

# Each in a process group of its own, which can be ended as one.
set -m
declare -A pids=() begun=()
# begin NAME COMMAND...: the same beside others, until `await NAME`.
begin() {
    local name="$1"
    shift
    say "test: $name"
    begun[$name]=$SECONDS
    (
        # All that it starts is of its process group.
        set +m
        "$@"
    ) >"$logs/$name.log" 2>&1 </dev/null &
    pids[$name]=$!
}

await() {
    local name="$1" status log="$logs/$1.log" seconds
    wait "${pids[$name]}"
    status=$?
    unset "pids[$name]"
    seconds=$((SECONDS - begun[$name]))
    count "$log" "$status"
    local counted=$?
    if ((status == 0 && counted == 0)); then
        say "test: $name ok ($seconds s)"
    else
        say "test: $name FAILED ($seconds s), the end of $log:"
        tail -n 60 "$log"
    fi
    return $status
}

# Adds what a log says of its runner's counts; a command that is no runner is one test.
count() {
    local good=0 bad=0 line
    line=$(grep -aE '^ *Summary \[' "$1" | tail -n 1)
    [[ -n "$line" ]] || line=$(grep -aE '^=* ?[0-9]+ (passed|failed|error).* in [0-9.]+s' "$1" | tail -n 1)
    if [[ -n "$line" ]]; then
        good=$(number "$line" passed)
        bad=$(($(number "$line" failed) + $(number "$line" 'timed out') + $(number "$line" errors?)))
        ((bad == 0 && $2 != 0)) && bad=1
        # A runner that ran nothing has proved nothing.
        ((good + bad == 0)) && bad=1
    elif (($2 == 0)); then
        good=1
    else
        bad=1
    fi
    passed=$((passed + good)) failed=$((failed + bad))
    ((bad == 0))
}

# The count before a word, 0 where the word is not there.
number() {
    local found
    found=$(grep -oE "[0-9]+ $2" <<<"$1" | head -n 1)
    echo "${found%% *}" | grep . || echo 0
}

rust() { cargo nextest run --config-file tests/nextest.toml --release --locked "$@"; }
# Licences are read off the crates of every platform, also of those that nothing here is built for.
dependencies() { cargo fetch --locked && cargo deny --offline check licenses bans sources; }
# asl-validator takes one definition at a time.
definitions() { for file in statemachine/*.asl.json; do asl-validator --json-path "$file" || return 1; done; }
template() {
    cfn-lint infra/template.yaml infra/cluster.yaml && (cd infra && sam validate --lint --template template.yaml &&
        sam validate --lint --template cluster.yaml)
}

# world_up [JOIN_LIMIT_SECONDS]
world_up() {
    local groups
    # Each case has a group of its own; those that are to be left alone are not in the list.
    groups=$(grep -rhoE '"case-[a-z-]+"' tests/e2e | tr -d '"' | sort -u | paste -sd,)
    python3 -m world up --groups "nvme-nodes,$groups" \
        --parameters '{"JoinLimitSeconds": "'"${1:-120}"'", "DrainLimitSeconds": "150", "EvictLimitSeconds": "40",
            "ArrayGroupNames": "case-array"}'
}

# What a stack finds in a cluster where nothing is set up.
bare_cases() (
    export TIDEGATE_WORLD="$bare_world"
    python3 -m world up --bare --parameters '{"BootstrapOnCompletion": "true", "AddOns": "metrics-server"}' &&
        eval "$(python3 -m world env)" && rust --profile world --workspace -E "binary(e2e) & ($bare)"
    status=$?
    # Before the next world is up: three are more than two cores carry.
    python3 -m world down
    return $status
)

# sample_cases NAME WORLD: the cluster of a sample, of a stack of ours, from set-up to destroy.
sample_cases() (
    export TIDEGATE_WORLD="$2"
    python3 -m world up --sample "$1" --cluster-stack "tidegate-$1-cluster" --parameters '{"DestroyLimitSeconds": "600"}' &&
        eval "$(python3 -m world env)" && rust --profile world --workspace -E "binary(e2e) & test(/^samples::$1/)"
    status=$?
    python3 -m world down
    return $status
)

# A cluster of a stack of ours, which is set up and then destroyed.
ending_cases() (
    export TIDEGATE_WORLD="$ending_world"
    python3 -m world up --bare --cluster-stack tidegate-cluster \
        --parameters '{"BootstrapOnCompletion": "true", "DestroyLimitSeconds": "600", "WorkerListRefreshSeconds": "10"}' &&
        eval "$(python3 -m world env)" && rust --profile world --workspace -E "binary(e2e) & ($ending)"
    status=$?
    python3 -m world down
    return $status
)

# The cases that run alone, in a world of their own.
lonely_cases() (
    export TIDEGATE_WORLD="$lonely_world"
    # Kubernetes' controllers look again at an API server that was away after up to a minute.
    world_up 240 && eval "$(python3 -m world env)" && rust --profile world --workspace -E "binary(e2e) & ($lonely)"
)

worlds_down() {
    local world
    for world in "${worlds[@]}"; do TIDEGATE_WORLD="$world" python3 -m world down; done
}

interrupted() {
    local pid
    for pid in "${pids[@]}"; do kill -- "-$pid" 2>/dev/null; done
    wait
    [[ "$what" == quick ]] || worlds_down
    exit 130
}

finish() {
    [[ "$what" == quick ]] || worlds_down
    say "$passed passed, $failed failed"
}

trap interrupted INT TERM HUP

if [[ "$what" != world ]]; then
    infra/local/setup/artifacts.sh restore
    run formatting cargo fmt --all --check
    run lints cargo clippy --release --locked --workspace --all-targets -- -D warnings
    run python-lints ruff check --no-cache infra samples tests
    run dependencies dependencies
    run build make build
    run unit-and-contract rust --workspace -E 'not binary(e2e)'
    infra/local/setup/artifacts.sh keep
    run definitions definitions
    run template template
    [[ "$what" == quick ]] || begin end-to-end-alone lonely_cases
    run local-world python3 -m pytest -q -p no:cacheprovider infra/local/tests
else
    run build make build
    begin end-to-end-alone lonely_cases
fi
if [[ "$what" == quick ]]; then
    finish
    exit $((failed > 0))
fi

if run world-up world_up; then
    eval "$(python3 -m world env)"
    run adapters rust --profile world --workspace -E 'binary(real_alluxio) | binary(real_api_server)' --run-ignored only
    # Two and the one that runs alone are what two cores start the JVMs of in time.
    run end-to-end rust --profile world --test-threads 2 --workspace -E "binary(e2e) - ($lonely) - ($bare) - ($samples) - ($ending)"
    python3 -m world down
fi
await end-to-end-alone
TIDEGATE_WORLD="$lonely_world" python3 -m world down
# Two at a time: each is one case, which mostly waits.
begin end-to-end-prod sample_cases prod "$prod_world"
run end-to-end-bare bare_cases
await end-to-end-prod
begin end-to-end-dev sample_cases dev "$dev_world"
run end-to-end-ending ending_cases
await end-to-end-dev
run rights python3 -m rights "${worlds[@]}"
run secrets python3 -m leaks "${worlds[@]}"
finish
exit $((failed > 0))
