#![allow(clippy::expect_used, reason = "part of tests")]

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_domain::cache::{Worker, WorkerState};
use tidegate_domain::names;
use tidegate_domain::ports::{CopyTargets, CopyWish, Target};

use crate::script::{Answer, Script};

fn worker(host: &str) -> Worker {
    Worker {
        host: host.into(),
        address: host.into(),
        rpc_port: 29_999,
        web_port: 30_000,
        state: WorkerState::Live,
        capacity_bytes: 0,
        used_bytes: 0,
        last_contact_seconds: 0,
    }
}

fn pod() -> Value {
    json!({
        "metadata": {"name": "alluxio-worker-1", "namespace": "alluxio", "uid": "uid-pod"},
        "spec": {"nodeName": "node-8", "containers": []},
    })
}

fn node(annotations: &Value) -> Value {
    json!({"metadata": {"name": "node-8", "uid": "uid-8", "resourceVersion": "7", "annotations": annotations}})
}

async fn claim(script: &Script) -> Target {
    let from = worker("10.0.1.7");
    let wish = CopyWish {
        path: "/a",
        from: &from,
        listed: None,
        under_way: 0,
        namespace: "alluxio",
        now: Timestamp::UNIX_EPOCH,
    };
    let claimed = script.cluster.claim(&worker("10.0.1.8"), false, &wish).await;
    claimed.expect("an answer")
}

#[tokio::test]
async fn a_target_is_claimed_by_its_node_alone() {
    let script = Script::with([
        Answer::list(&[pod()]),
        Answer::With(200, node(&json!({}))),
        Answer::With(200, node(&json!({}))),
    ]);
    assert_eq!(claim(&script).await, Target::Claimed);
    let asked = script.asked();
    let lines: Vec<_> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /api/v1/namespaces/alluxio/pods",
            "GET /api/v1/nodes/node-8",
            "PATCH /api/v1/nodes/node-8"
        ]
    );
    assert_eq!(asked[0].parameter("fieldSelector"), Some("status.podIP=10.0.1.8"));
    let metadata = &asked[2].body["metadata"];
    assert_eq!(
        metadata["resourceVersion"], "7",
        "refused where it has changed since"
    );
    assert_eq!(
        metadata["annotations"][names::TAKES_COPIES_ANNOTATION],
        "10.0.1.7 1970-01-01T00:01:00Z"
    );
}

#[tokio::test]
async fn a_target_that_another_drain_has_is_busy() {
    let claimed = json!({names::TAKES_COPIES_ANNOTATION: "10.0.1.9 1970-01-01T00:00:30Z"});
    let script = Script::with([Answer::list(&[pod()]), Answer::With(200, node(&claimed))]);
    assert!(matches!(claim(&script).await, Target::Busy(why) if why.contains("10.0.1.9")));
}

#[tokio::test]
async fn of_two_drains_that_claim_at_once_one_waits() {
    let script = Script::with([
        Answer::list(&[pod()]),
        Answer::With(200, node(&json!({}))),
        Answer::failure(409, "the object has been modified"),
    ]);
    assert!(matches!(claim(&script).await, Target::Busy(_)));
}

#[tokio::test]
async fn a_node_that_drains_or_is_gone_takes_no_copies() {
    let drained = json!({names::DRAIN_SINCE_ANNOTATION: "1970-01-01T00:00:00Z"});
    for answer in [
        Answer::With(200, node(&drained)),
        Answer::failure(404, "not found"),
    ] {
        let script = Script::with([Answer::list(&[pod()]), answer]);
        assert_eq!(claim(&script).await, Target::Draining);
    }
}

#[tokio::test]
async fn a_worker_outside_of_the_cluster_takes_copies() {
    let script = Script::with([Answer::list(&[])]);
    assert_eq!(claim(&script).await, Target::Claimed);
}
