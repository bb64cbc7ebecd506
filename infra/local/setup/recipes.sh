# What each pinned tool is: the files that define it, how it is installed, what of it appears in $TIDEGATE_TOOLS.
# Sourced by install.sh, which runs a recipe in this directory with the target directory as its argument, output going to a log.

tools=(world validation awscli cargo node alluxio spark control-plane kwok)
# These compile for minutes; they run one after the other beside all that mostly downloads.
compiled=(control-plane kwok)

definition() {
    case "$1" in
    world | validation | awscli) echo "python/requirements-$1.txt python/requirements-$1.lock.txt" ;;
    cargo) echo python/requirements-cargo.txt ;;
    node) echo node/package.json node/package-lock.json node/.npmrc ;;
    alluxio) echo alluxio/pom.xml ;;
    spark)
        echo python/requirements-spark.txt python/requirements-spark.lock.txt go/spark-operator/go.mod go/spark-operator/go.sum
        find alluxio-client -type f | sort
        ;;
    control-plane) echo go/control-plane/{go.mod,go.sum,main.go,metrics_server.go} ;;
    kwok) echo go/kwok/go.mod go/kwok/go.sum ;;
    esac
}

needs_interpreter() { case "$1" in world | validation | awscli | spark) ;; *) return 1 ;; esac; }

virtual_environment() {
    python3 -m venv "$2"
    "$2/bin/python3" -m pip install --no-input --disable-pip-version-check --quiet \
        -r "python/requirements-$1.txt" -c "python/requirements-$1.lock.txt"
}
recipe_world() { virtual_environment world "$1"; }
recipe_validation() { virtual_environment validation "$1"; }
recipe_awscli() { virtual_environment awscli "$1"; }

# The wheels hold ready-made binaries. Without dependencies: cargo-lambda's is zig (411 MB), which only cross-compiling needs.
recipe_cargo() {
    python3 -m pip install --no-input --disable-pip-version-check --quiet --no-deps --target "$1" -r python/requirements-cargo.txt
}

recipe_node() {
    cp node/package.json node/package-lock.json node/.npmrc "$1"
    (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
}

recipe_alluxio() {
    mvn --quiet --batch-mode --file alluxio/pom.xml dependency:copy-dependencies -DoutputDirectory="$1/lib" -DincludeScope=runtime
    # `target` is where Maven would build; this pom builds nothing.
    rmdir alluxio/target 2>/dev/null || true
}

# Spark, the Alluxio client that it loads, and the schema by which an API server judges a SparkApplication.
recipe_spark() {
    # pip would keep 600 MB of its own beside it.
    PIP_NO_CACHE_DIR=1 virtual_environment spark "$1"
    mvn --quiet --batch-mode --file alluxio-client/pom.xml dependency:copy-dependencies -DoutputDirectory="$1/client" \
        -DincludeScope=runtime
    rmdir alluxio-client/target 2>/dev/null || true
    # Nothing of the operator is built: a module is fetched, and checked against go.sum.
    (cd go/spark-operator && go mod download github.com/kubeflow/spark-operator/v2)
    install -m 644 -D -t "$1/crds" \
        "$(go list -C go/spark-operator -m -f '{{.Dir}}' github.com/kubeflow/spark-operator/v2)"/config/crd/bases/sparkoperator.k8s.io_sparkapplications.yaml
}

# -trimpath and CGO_ENABLED=0 everywhere: other flags would compile client-go and all that both share once more.
go_build() { CGO_ENABLED=0 nice go build -C "$1" -trimpath -buildvcs=false "${@:2}"; }

recipe_control-plane() {
    local version flags="-s -w" package
    version="$(go list -C go/control-plane -m -f '{{.Version}}' k8s.io/kubernetes)" # v1.35.4
    local numbers="${version#v}"
    # What a release build stamps in (hack/lib/version.sh): component-base's is what /version tells and kwokctl reads,
    # client-go's stands in the user agent of every request, so in the audit log.
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $package.gitVersion=$version -X $package.gitMajor=${numbers%%.*}"
        flags+=" -X $package.gitMinor=$(cut -d. -f2 <<<"$numbers") -X $package.gitTreeState=archive -X $package.gitCommit="
    done
    go_build go/control-plane -o "$1/bin/kubernetes" -ldflags "$flags" .
    for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubectl metrics-server; do ln -s kubernetes "$1/bin/$name"; done
}

recipe_kwok() {
    local module=sigs.k8s.io/kwok version source
    version="$(go list -C go/kwok -m -f '{{.Version}}' "$module")"
    go_build go/kwok -o "$1/bin/" -ldflags "-s -w -X $module/pkg/consts.Version=$version" "$module/cmd/kwok" "$module/cmd/kwokctl"
    source="$(go list -C go/kwok -m -f '{{.Dir}}' "$module")/kustomize/stage"
    # kwok does nothing without stages. These are its own for nodes and pods that only exist in the API.
    mkdir "$1/stages"
    install -m 644 "$source"/node/fast/node-initialize.yaml "$source"/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml \
        "$source"/pod/fast/pod-{ready,complete,delete}.yaml "$1/stages/"
}

# Lays out $TIDEGATE_TOOLS in the directory $1 as links into the tools' own directories.
assemble() {
    mkdir "$1/bin"
    link_commands "$1" validation cfn-lint sam ruff
    link_commands "$1" awscli aws
    link_commands "$1" cargo cargo-lambda cargo-nextest cargo-deny
    link_commands "$1" control-plane etcd kube-apiserver kube-controller-manager kube-scheduler kubectl metrics-server
    link_commands "$1" kwok kwok kwokctl
    link_commands "$1" world pytest
    # An interpreter finds its virtual environment by the path that it is started under, so a link would lose it.
    printf '#!/bin/sh\nexec %q "$@"\n' "$(directory_of world)/bin/python3" >"$1/bin/python3"
    chmod +x "$1/bin/python3"
    ln -s "$(directory_of node)/node_modules/.bin/asl-validator" "$1/bin/asl-validator"
    ln -s "$(directory_of node)/node_modules" "$1/node_modules"
    ln -s "$(directory_of alluxio)" "$1/alluxio"
    ln -s "$(directory_of kwok)/stages" "$1/kwok-stages"
    ln -s "$(directory_of spark)" "$1/spark"
}
link_commands() {
    local name
    for name in "${@:3}"; do ln -s "$(directory_of "$2")/bin/$name" "$1/bin/$name"; done
}
