use serde_json::{Value, json};
use tidegate_domain::drift::{ClusterView, Manifests};
use tidegate_domain::error::ErrorName;

use crate::script::{Answer, Script};

fn page(items: &[Value], next: &str) -> Answer {
    Answer::With(200, json!({"metadata": {"continue": next}, "items": items}))
}

fn node(name: &str) -> Value {
    json!({"metadata": {"name": name, "uid": "u"}, "spec": {"providerID": "aws:///a/i-0123456789abcdef0"}})
}

#[tokio::test]
async fn a_collection_is_listed_page_by_page() {
    let script = Script::with([page(&[node("a")], "token"), page(&[node("b")], "")]);
    let nodes = script.cluster.nodes().await.expect("listed");
    let names: Vec<_> = nodes.iter().map(|seen| seen.node.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let asked = script.asked();
    assert_eq!(asked[0].line, "GET /api/v1/nodes");
    assert_eq!(asked[0].parameter("limit"), Some("500"));
    assert_eq!(asked[0].parameter("continue"), None);
    assert_eq!(asked[1].parameter("continue"), Some("token"));
}

#[tokio::test]
async fn only_volumes_of_instances_are_asked_for() {
    let script = Script::with([page(&[], "")]);
    assert_eq!(script.cluster.volumes().await, Ok(Vec::new()));
    let asked = script.asked();
    assert_eq!(asked[0].line, "GET /api/v1/persistentvolumes");
    assert_eq!(
        asked[0].parameter("labelSelector"),
        Some("tidegate.dev/instance-id")
    );
}

#[tokio::test]
async fn a_page_that_has_grown_too_old_makes_the_listing_unavailable_and_not_shorter() {
    let script = Script::with([page(&[node("a")], "token"), Answer::failure(410, "too old")]);
    let error = script.cluster.nodes().await.expect_err("no half of a listing");
    assert_eq!(error.name, ErrorName::KubernetesUnavailable);
}

#[tokio::test]
async fn each_object_of_the_record_is_looked_at() {
    let desired = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "alluxio"}});
    let gone = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "w", "namespace": "alluxio"}});
    let record = json!({"data": {"objects.json": json!([desired, gone]).to_string()}});
    let script = Script::with([
        Answer::With(200, record),
        Answer::With(200, desired.clone()),
        Answer::failure(404, "not found"),
    ]);
    let manifests = script.cluster.manifests().await.expect("seen");
    let objects = manifests.objects.expect("recorded");
    assert_eq!(objects[0].live, Some(desired));
    assert_eq!(objects[1].live, None);
    assert_eq!(
        script.lines(),
        [
            "GET /api/v1/namespaces/kube-system/configmaps/tidegate-manifests",
            "GET /api/v1/namespaces/alluxio",
            "GET /api/v1/namespaces/alluxio/serviceaccounts/w",
        ]
    );
}

#[tokio::test]
async fn a_cluster_without_a_record_says_so_and_one_that_cannot_be_read_is_an_error() {
    let script = Script::with([Answer::failure(404, "not found")]);
    let manifests = script.cluster.manifests().await;
    assert!(
        matches!(manifests, Ok(Manifests { objects: None, .. })),
        "{manifests:?}"
    );
    let script = Script::with([Answer::With(200, json!({"data": {"objects.json": "{"}}))]);
    let error = script.cluster.manifests().await.expect_err("unreadable");
    assert!(error.message.contains("apply them again"), "{error}");
}

#[tokio::test]
async fn an_object_is_applied_by_the_server_under_our_name() {
    let script = Script::with([Answer::With(200, json!({}))]);
    let object = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "w", "namespace": "alluxio"}});
    assert_eq!(ClusterView::apply(&script.cluster, &object).await, Ok(()));
    let asked = script.asked();
    assert_eq!(
        asked[0].line,
        "PATCH /apis/apps/v1/namespaces/alluxio/daemonsets/w"
    );
    assert_eq!(asked[0].parameter("fieldManager"), Some("tidegate"));
    assert_eq!(asked[0].parameter("force"), Some("true"));
    assert_eq!(asked[0].content_type, "application/apply-patch+yaml");
    assert_eq!(asked[0].body, object);
}

#[tokio::test]
async fn a_node_is_looked_at_by_its_name_as_the_listing_sees_it() {
    let script = Script::with([
        Answer::With(200, node("a")),
        Answer::failure(404, "not found"),
        page(&[node("a")], ""),
    ]);
    let found = script.cluster.node("a").await.expect("an answer");
    assert_eq!(found.as_ref().map(|seen| seen.node.uid.as_str()), Some("u"));
    assert_eq!(script.cluster.node("a").await, Ok(None));
    assert_eq!(script.asked()[0].line, "GET /api/v1/nodes/a");
    let listed = script.cluster.nodes().await.expect("listed");
    assert_eq!(listed.into_iter().next(), found);
}
