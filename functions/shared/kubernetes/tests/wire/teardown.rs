use serde_json::{Value, json};
use tidegate_domain::bootstrap::title;
use tidegate_domain::destroy::{Teardown, WorkerPod};
use tidegate_domain::error::ErrorName;
use tidegate_domain::node::VolumePhase;
use tidegate_domain::ports::Changed;

use crate::script::{Answer, Script};

fn page(items: &[Value], next: &str) -> Answer {
    Answer::With(200, json!({"metadata": {"continue": next}, "items": items}))
}

fn named(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "alluxio", "uid": "u"}})
}

#[tokio::test]
async fn every_kind_of_the_manifests_is_listed_in_all_namespaces_page_by_page() {
    let answers = [page(&[named("a")], "token"), page(&[named("b")], "")];
    let empty = json!({"kind": "PartialObjectMetadataList", "metadata": {}, "items": null});
    let rest = (0..14).map(|_| Answer::With(200, empty.clone()));
    let script = Script::with(answers.into_iter().chain(rest));
    let found = script.cluster.managed().await.expect("listed");
    let titles: Vec<_> = found.iter().map(title).collect();
    assert_eq!(titles, ["ConfigMap alluxio/a", "ConfigMap alluxio/b"]);
    assert_eq!(found[0]["apiVersion"], "v1");
    let lines = script.lines();
    assert_eq!(lines.len(), 16);
    assert_eq!(lines[0], "GET /api/v1/configmaps");
    assert!(lines.contains(&"GET /apis/rbac.authorization.k8s.io/v1/clusterroles".to_owned()));
    assert_eq!(script.asked()[1].parameter("continue"), Some("token"));
}

#[tokio::test]
async fn a_namespace_is_looked_through_for_every_kind_that_the_server_knows_and_no_figure() {
    let kind = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "kind": kind, "namespaced": namespaced, "verbs": ["list"]});
    let group =
        |name: &str, version: &str| json!({"name": name, "preferredVersion": {"groupVersion": version}});
    let script = Script::with([
        Answer::With(
            200,
            json!({"groups": [
                group("sparkoperator.k8s.io", "sparkoperator.k8s.io/v1beta2"),
                group("metrics.k8s.io", "metrics.k8s.io/v1beta1"),
            ]}),
        ),
        Answer::With(
            200,
            json!({"resources": [
                kind("secrets", "Secret", true), kind("nodes", "Node", false), kind("events", "Event", true),
                kind("pods/log", "Pod", true),
            ]}),
        ),
        Answer::With(
            200,
            json!({"resources": [kind("sparkapplications", "SparkApplication", true)]}),
        ),
        page(&[named("s")], ""),
        page(&[named("job")], ""),
    ]);
    let found = script.cluster.in_namespace("alluxio").await.expect("listed");
    let titles: Vec<_> = found.iter().map(title).collect();
    assert_eq!(titles, ["Secret alluxio/s", "SparkApplication alluxio/job"]);
    assert_eq!(
        script.lines(),
        [
            "GET /apis",
            "GET /api/v1",
            "GET /apis/sparkoperator.k8s.io/v1beta2",
            "GET /api/v1/namespaces/alluxio/secrets",
            "GET /apis/sparkoperator.k8s.io/v1beta2/namespaces/alluxio/sparkapplications",
        ]
    );
}

#[tokio::test]
async fn a_group_that_does_not_answer_is_no_empty_one() {
    let groups = json!({"groups": [{"name": "a.io", "preferredVersion": {"groupVersion": "a.io/v1"}}]});
    let script = Script::with([
        Answer::With(200, groups),
        Answer::With(200, json!({"resources": []})),
        Answer::failure(503, "the server is currently unable to handle the request"),
    ]);
    let error = script
        .cluster
        .in_namespace("alluxio")
        .await
        .expect_err("not seen");
    assert_eq!(error.name, ErrorName::KubernetesUnavailable);
}

#[tokio::test]
async fn an_object_is_deleted_after_what_it_owns_and_only_if_it_is_still_the_same() {
    let script = Script::with([
        Answer::done(),
        Answer::failure(404, "not found"),
        Answer::failure(409, "the UID in the precondition does not match"),
    ]);
    let object = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "w", "namespace": "alluxio", "uid": "u-1"}});
    assert_eq!(script.cluster.remove(&object).await, Ok(Changed::Done));
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "alluxio", "uid": "u-2"}});
    assert_eq!(script.cluster.remove(&claim).await, Ok(Changed::Gone));
    let volume =
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v", "uid": "u-3"}});
    assert_eq!(script.cluster.remove(&volume).await, Ok(Changed::Conflict));
    assert_eq!(
        script.lines(),
        [
            "DELETE /apis/apps/v1/namespaces/alluxio/daemonsets/w",
            "DELETE /api/v1/namespaces/alluxio/persistentvolumeclaims/c",
            "DELETE /api/v1/persistentvolumes/v",
        ]
    );
    let body = &script.asked()[0].body;
    assert_eq!(body["propagationPolicy"], "Foreground");
    assert_eq!(body["preconditions"]["uid"], "u-1");
}

#[tokio::test]
async fn a_deployment_is_scaled_by_a_merge_patch_under_the_functions_name() {
    let script = Script::with([Answer::done()]);
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ca", "namespace": "kube-system"}});
    let patch = json!({"spec": {"replicas": 0}});
    assert_eq!(script.cluster.merge(&object, &patch).await, Ok(Changed::Done));
    let asked = script.asked();
    assert_eq!(
        asked[0].line,
        "PATCH /apis/apps/v1/namespaces/kube-system/deployments/ca"
    );
    assert_eq!(asked[0].content_type, "application/merge-patch+json");
    assert_eq!(asked[0].parameter("fieldManager"), Some("tidegate-label-node"));
    assert_eq!(asked[0].body, patch);
}

#[tokio::test]
async fn workers_pods_and_all_volumes_are_read_with_what_decisions_need() {
    let pod = json!({"metadata": {"name": "w-1", "deletionTimestamp": "2026-11-24T10:00:00Z"}, "status": {"phase": "Running", "hostIP": "10.0.1.7"}});
    let local = json!({"metadata": {"name": "local", "uid": "u", "labels": {"tidegate.dev/instance-id": "i-1"}},
        "spec": {"storageClassName": "fast-disks", "persistentVolumeReclaimPolicy": "Delete"}, "status": {"phase": "Available"}});
    let ebs = json!({"metadata": {"name": "pvc-1", "uid": "u"}, "spec": {"storageClassName": "standard",
        "persistentVolumeReclaimPolicy": "Retain", "csi": {"volumeHandle": "vol-1"},
        "claimRef": {"namespace": "alluxio", "name": "journal-0"}}, "status": {"phase": "Released"}});
    let script = Script::with([page(&[pod], ""), page(&[local, ebs], "")]);
    let pods = script.cluster.worker_pods("alluxio").await.expect("listed");
    let expected = WorkerPod {
        name: "w-1".into(),
        host: "10.0.1.7".into(),
        running: true,
        deleting: true,
    };
    assert_eq!(pods, [expected]);
    assert_eq!(
        script.asked()[0].parameter("labelSelector"),
        Some("role=alluxio-worker")
    );
    let volumes = script.cluster.held_volumes().await.expect("listed");
    assert!(volumes[0].of_instance && volumes[0].deletes && volumes[0].claim.is_none());
    assert_eq!(volumes[0].phase, VolumePhase::Available);
    assert_eq!(volumes[1].handle.as_deref(), Some("vol-1"));
    assert_eq!(
        volumes[1].claim,
        Some(("alluxio".to_owned(), "journal-0".to_owned()))
    );
    assert!(!volumes[1].deletes && !volumes[1].of_instance);
}
