#![allow(clippy::expect_used, reason = "part of tests")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_domain::disks::DiskLayout;
use tidegate_domain::error::ErrorName;
use tidegate_domain::names;
use tidegate_domain::node::{Node, NodeChange, Taint};
use tidegate_domain::ports::{Changed, Nodes};
use tidegate_domain::subject::{Identity, InstanceId, Subject};

use crate::script::{Answer, Script};

const ID: &str = "i-0123456789abcdef0";
const OTHER_ID: &str = "i-00000000000000000";
const LABELLED: &str = "tidegate.dev/instance-id=i-0123456789abcdef0";
const UNLABELLED: &str = "node.kubernetes.io/instance-type=m5d.4xlarge,topology.kubernetes.io/zone=us-west-2a,\
                          !tidegate.dev/instance-id";

fn subject() -> Subject {
    Subject {
        instance_id: InstanceId::parse(ID).unwrap_or_else(|error| unreachable!("{error}")),
        auto_scaling_group: "nvme-nodes".into(),
        availability_zone: "us-west-2a".into(),
        instance_type: "m5d.4xlarge".into(),
        lifecycle_state: "Pending:Wait".into(),
        disks: Vec::new(),
        disk_layout: DiskLayout::of(&[]),
        one_array: false,
        hook: None,
        retains: false,
        identity: Identity::default(),
    }
}

const NAME: &str = "ip-10-0-0-7.us-west-2.compute.internal";
const TYPE_AND_ZONE: &str =
    "node.kubernetes.io/instance-type=m5d.4xlarge,topology.kubernetes.io/zone=us-west-2a";

/// An instance in service whose name EC2 tells.
fn in_service() -> Subject {
    Subject {
        lifecycle_state: "InService".into(),
        identity: Identity {
            instance_state: Some("running".into()),
            node_name: Some(NAME.into()),
            private_address: Some("10.0.0.7".into()),
            ..Identity::default()
        },
        ..subject()
    }
}

fn no_such_node() -> Answer {
    Answer::failure(404, "nodes \"ip-10-0-0-7\" not found")
}

async fn found(script: &Script, subject: &Subject) -> Option<String> {
    let found = script
        .cluster
        .find(subject, Duration::ZERO)
        .await
        .expect("an answer");
    found.map(|node| node.name)
}

fn selectors(script: &Script) -> Vec<Option<String>> {
    let asked = script.asked();
    let selector = |asked: &crate::script::Asked| asked.parameter("labelSelector").map(str::to_owned);
    asked.iter().map(selector).collect()
}

#[tokio::test]
async fn a_node_is_got_by_the_name_that_ec2_gives() {
    let script = Script::with([Answer::With(200, node(NAME, ID))]);
    assert_eq!(found(&script, &in_service()).await.as_deref(), Some(NAME));
    assert_eq!(script.lines(), [format!("GET /api/v1/nodes/{NAME}")]);
}

#[tokio::test]
async fn a_node_that_was_found_is_not_listed_again() {
    let mut subject = in_service();
    subject.identity.node_uid = Some("uid-of-before".into());
    let anew = Script::with([Answer::With(200, node(NAME, ID))]);
    assert_eq!(
        found(&anew, &subject).await.as_deref(),
        Some(NAME),
        "made anew, of one instance"
    );
    for answer in [no_such_node(), Answer::With(200, node(NAME, OTHER_ID))] {
        let script = Script::with([answer]);
        assert_eq!(found(&script, &subject).await, None);
        assert_eq!(script.lines(), [format!("GET /api/v1/nodes/{NAME}")]);
    }
}

#[tokio::test]
async fn a_node_of_that_name_of_another_instance_is_not_believed() {
    let script = Script::with([
        Answer::With(200, node(NAME, OTHER_ID)),
        Answer::list(&[node("renamed", ID)]),
    ]);
    assert_eq!(found(&script, &in_service()).await.as_deref(), Some("renamed"));
    assert_eq!(selectors(&script)[1].as_deref(), Some(LABELLED));
}

#[tokio::test]
async fn a_node_of_another_name_and_a_wrong_label_is_found() {
    let mut ours = node("renamed", ID);
    ours["metadata"]["labels"] = json!({ names::INSTANCE_ID_LABEL: OTHER_ID });
    let script = Script::with([
        no_such_node(),
        Answer::list(&[]),
        Answer::list(&[node("other", OTHER_ID), ours]),
    ]);
    assert_eq!(found(&script, &in_service()).await.as_deref(), Some("renamed"));
    assert_eq!(selectors(&script)[2].as_deref(), Some(TYPE_AND_ZONE));
}

#[tokio::test]
async fn a_terminated_instance_costs_one_look_by_its_label() {
    let terminated = Subject {
        lifecycle_state: "Terminated".into(),
        identity: Identity {
            instance_state: Some("terminated".into()),
            ..Identity::default()
        },
        ..subject()
    };
    let script = Script::with([Answer::list(&[])]);
    assert_eq!(found(&script, &terminated).await, None);
    assert_eq!(selectors(&script), [Some(LABELLED.to_owned())]);
}

#[tokio::test]
async fn a_name_that_may_not_be_read_is_no_absent_node() {
    for (code, name) in [
        (403, ErrorName::KubernetesRefused),
        (503, ErrorName::KubernetesUnavailable),
    ] {
        let script = Script::with([Answer::failure(code, "no")]);
        let error = script.cluster.find(&in_service(), Duration::ZERO).await;
        let error = error.expect_err("an error");
        assert_eq!(error.name, name);
        assert!(error.message.contains("get nodes"), "{error}");
    }
}

fn node(name: &str, instance: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": "7"},
        "spec": {"providerID": format!("aws:///us-west-2a/{instance}")},
    })
}

fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

#[tokio::test]
async fn a_labelled_node_is_found_with_one_question() {
    let script = Script::with([Answer::list(&[node("ours", ID)])]);
    let found = script
        .cluster
        .find(&subject(), Duration::ZERO)
        .await
        .expect("found");
    assert_eq!(found.map(|node| node.name).as_deref(), Some("ours"));
    let asked = script.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, "GET /api/v1/nodes");
    assert_eq!(asked[0].parameter("labelSelector"), Some(LABELLED));
}

#[tokio::test]
async fn an_unlabelled_node_is_found_among_those_of_its_type_and_zone() {
    for provider_id in [format!("aws:///us-west-2a/{ID}"), format!("aws:////{ID}")] {
        let mut ours = node("ours", ID);
        ours["spec"]["providerID"] = json!(provider_id);
        let script = Script::with([Answer::list(&[]), Answer::list(&[node("other", OTHER_ID), ours])]);
        let found = script
            .cluster
            .find(&subject(), Duration::ZERO)
            .await
            .expect("found");
        assert_eq!(
            found.map(|node| node.name).as_deref(),
            Some("ours"),
            "{provider_id}"
        );
        assert_eq!(script.asked()[1].parameter("labelSelector"), Some(UNLABELLED));
    }
}

#[tokio::test]
async fn every_listing_is_narrowed_by_a_selector_and_read_in_pages() {
    let first = json!({"metadata": {"resourceVersion": "100", "continue": "more"}, "items": [node("other", OTHER_ID)]});
    let script = Script::with([
        Answer::list(&[]),
        Answer::With(200, first),
        Answer::list(&[node("ours", ID)]),
    ]);
    let found = script
        .cluster
        .find(&subject(), Duration::ZERO)
        .await
        .expect("found");
    assert!(found.is_some());
    let asked = script.asked();
    assert_eq!(asked[2].parameter("continue"), Some("more"));
    for asked in asked {
        assert!(
            asked
                .parameter("labelSelector")
                .is_some_and(|selector| selector.contains(ID) || selector == UNLABELLED)
        );
        assert_eq!(asked.parameter("limit"), Some("500"));
    }
}

#[tokio::test]
async fn a_node_with_our_label_and_the_provider_id_of_another_is_not_ours() {
    let script = Script::with([
        Answer::list(&[node("copied", OTHER_ID)]),
        Answer::list(&[node("ours", ID)]),
    ]);
    let found = script
        .cluster
        .find(&subject(), Duration::ZERO)
        .await
        .expect("found");
    assert_eq!(found.map(|node| node.name).as_deref(), Some("ours"));
}

#[tokio::test]
async fn a_node_that_is_labelled_between_the_two_looks_is_not_taken_for_absent() {
    let script = Script::with([
        Answer::list(&[]),
        Answer::list(&[]),
        Answer::list(&[node("ours", ID)]),
    ]);
    let found = script
        .cluster
        .find(&subject(), Duration::ZERO)
        .await
        .expect("found");
    assert!(found.is_some());
    assert_eq!(script.asked()[2].parameter("labelSelector"), Some(LABELLED));
}

#[tokio::test]
async fn one_watch_from_where_the_list_ended_sees_the_node_come() {
    let script = Script::with([
        Answer::list(&[]),
        Answer::list(&[]),
        Answer::Watch(vec![
            event("ADDED", &node("other", OTHER_ID)),
            event("ADDED", &node("ours", ID)),
        ]),
    ]);
    let began = Instant::now();
    let found = script
        .cluster
        .find(&subject(), Duration::from_secs(20))
        .await
        .expect("found");
    assert_eq!(found.map(|node| node.name).as_deref(), Some("ours"));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "it waited for more than the node"
    );
    let watch = &script.asked()[2];
    assert_eq!(watch.parameter("watch"), Some("true"));
    assert_eq!(watch.parameter("labelSelector"), Some(UNLABELLED));
    assert_eq!(watch.parameter("resourceVersion"), Some("100"));
    let seconds: u64 = watch
        .parameter("timeoutSeconds")
        .and_then(|seconds| seconds.parse().ok())
        .expect("a limit");
    assert!((20..=21).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_watch_ends_in_its_time_when_nothing_comes() {
    let script = Script::with([
        Answer::list(&[]),
        Answer::list(&[]),
        Answer::Watch(vec![]),
        Answer::list(&[]),
    ]);
    let began = Instant::now();
    let found = script
        .cluster
        .find(&subject(), Duration::from_millis(300))
        .await
        .expect("none");
    assert_eq!(found, None);
    assert!(
        (300..3_000).contains(&began.elapsed().as_millis()),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_watch_that_is_too_old_or_cut_off_starts_again_from_a_new_list() {
    let expired = event(
        "ERROR",
        &json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"}),
    );
    for early in [
        Answer::failure(410, "too old resource version"),
        Answer::EndedWatch(vec![expired]),
        Answer::EndedWatch(vec![]),
    ] {
        let script = Script::with([
            Answer::list(&[]),
            Answer::list(&[]),
            early,
            Answer::list(&[node("ours", ID)]),
        ]);
        let found = script
            .cluster
            .find(&subject(), Duration::from_secs(20))
            .await
            .expect("found");
        assert!(found.is_some());
        assert_eq!(
            script.lines(),
            [
                "GET /api/v1/nodes",
                "GET /api/v1/nodes",
                "WATCH /api/v1/nodes",
                "GET /api/v1/nodes"
            ]
        );
        assert_eq!(script.asked()[3].parameter("labelSelector"), Some(UNLABELLED));
    }
}

#[tokio::test]
async fn a_node_is_seen_with_its_taints_conditions_and_address() {
    let ours = json!({
        "metadata": {"name": "ours", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"},
            "annotations": {names::DRAIN_SINCE_ANNOTATION: "2026-01-02T03:04:05Z"}},
        "spec": {"providerID": format!("aws:///us-west-2a/{ID}"), "unschedulable": true, "taints": [
            {"key": names::STARTUP_TAINT, "value": "joining", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": "2026-01-02T03:04:05Z"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": "10.0.0.7"}]},
    });
    let script = Script::with([Answer::list(&[ours])]);
    let time = "2026-01-02T03:04:05Z".parse().expect("a time");
    assert_eq!(
        script.cluster.find(&subject(), Duration::ZERO).await,
        Ok(Some(Node {
            name: "ours".into(),
            uid: "u".into(),
            resource_version: "7".into(),
            labels: [("a".into(), "b".into())].into(),
            annotations: [(
                names::DRAIN_SINCE_ANNOTATION.into(),
                "2026-01-02T03:04:05Z".into()
            )]
            .into(),
            provider_id: format!("aws:///us-west-2a/{ID}"),
            unschedulable: true,
            startup_taint: true,
            other_taints: vec![Taint {
                key: "node.kubernetes.io/unschedulable".into(),
                value: None,
                effect: "NoSchedule".into(),
                time_added: Some(time),
            }],
            ready: true,
            internal_ip: Some("10.0.0.7".into()),
        }))
    );
}

fn seen() -> Node {
    Node {
        name: "ours".into(),
        resource_version: "7".into(),
        startup_taint: true,
        other_taints: vec![Taint {
            key: "dedicated".into(),
            value: Some("cache".into()),
            effect: "NoExecute".into(),
            time_added: None,
        }],
        ..Node::default()
    }
}

#[tokio::test]
async fn a_change_is_one_merge_patch_of_what_changes_on_the_node_as_it_was_seen() {
    let script = Script::with([Answer::With(200, node("ours", ID))]);
    let change = NodeChange {
        labels: [
            (names::WORKER_LABEL, None),
            (names::FAST_DISK_LABEL, Some("pv-nvme".into())),
        ]
        .into(),
        annotations: [(names::DRAIN_SINCE_ANNOTATION, Some("2026-01-02T03:04:05Z".into()))].into(),
        cordon: true,
        uncordon: false,
        remove_startup_taint: false,
    };
    assert_eq!(script.cluster.change(&seen(), &change).await, Ok(Changed::Done));
    let asked = script.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, "PATCH /api/v1/nodes/ours");
    assert_eq!(asked[0].content_type, "application/merge-patch+json");
    assert_eq!(asked[0].parameter("fieldManager"), Some("tidegate-label-node"));
    assert_eq!(
        asked[0].body,
        json!({
            "metadata": {
                "resourceVersion": "7",
                "labels": {"tidegate.dev/alluxio-worker": null, "fast-disk-node": "pv-nvme"},
                "annotations": {"tidegate.dev/drain-since": "2026-01-02T03:04:05Z"},
            },
            "spec": {"unschedulable": true},
        })
    );
}

#[tokio::test]
async fn taking_the_startup_taint_off_leaves_the_others() {
    let script = Script::with([Answer::With(200, node("ours", ID))]);
    let change = NodeChange {
        remove_startup_taint: true,
        ..NodeChange::default()
    };
    assert_eq!(script.cluster.change(&seen(), &change).await, Ok(Changed::Done));
    assert_eq!(
        script.asked()[0].body,
        json!({
            "metadata": {"resourceVersion": "7"},
            "spec": {"taints": [{"key": "dedicated", "value": "cache", "effect": "NoExecute"}]},
        })
    );
}

#[tokio::test]
async fn a_node_that_has_changed_is_a_conflict_and_one_that_is_gone_is_gone() {
    for (code, changed) in [(409, Changed::Conflict), (404, Changed::Gone)] {
        let script = Script::with([Answer::failure(code, "no")]);
        let answer = script.cluster.change(&seen(), &NodeChange::default()).await;
        assert_eq!(answer, Ok(changed));
    }
}
