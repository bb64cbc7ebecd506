#![allow(clippy::expect_used, reason = "part of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node as CoreNode;
use kube::api::{Api, Patch, PatchParams};
use kube::client::{Body, ClientBuilder};
use serde_json::json;
use tidegate_domain::names;
use tidegate_domain::node::{Node, NodeChange};
use tidegate_domain::ports::{Changed, Nodes};
use tidegate_domain::subject::Subject;
use tidegate_kubernetes::Cluster;
use tower::util::MapRequestLayer;

use crate::objects::{client, cluster, configuration, create, eventually, node_of, remove, subject};

const WATCH: Duration = Duration::from_secs(20);

fn label(subject: &Subject) -> NodeChange {
    NodeChange {
        labels: [(names::INSTANCE_ID_LABEL, Some(subject.instance_id.to_string()))].into(),
        ..NodeChange::default()
    }
}

/// Looks and changes until no other writer (the node controller, on a fresh node) comes between.
async fn change(cluster: &Cluster, subject: &Subject, change: &NodeChange) -> Node {
    eventually("a change without conflict", async || {
        let node = cluster.find(subject, Duration::ZERO).await.expect("an answer")?;
        let changed = cluster.change(&node, change).await.expect("an answer");
        (changed == Changed::Done).then_some(())
    })
    .await;
    cluster
        .find(subject, Duration::ZERO)
        .await
        .expect("an answer")
        .expect("the node")
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_node_is_found_before_and_after_it_is_labelled() {
    let client = client().await;
    let (cluster, subject) = (cluster(&client), subject());
    assert_eq!(cluster.find(&subject, Duration::ZERO).await, Ok(None));
    let api = Api::<CoreNode>::all(client);
    create(&api, node_of(&subject)).await;
    let unlabelled = cluster
        .find(&subject, Duration::ZERO)
        .await
        .expect("an answer")
        .expect("the node");
    assert!(!unlabelled.labels.contains_key(names::INSTANCE_ID_LABEL));
    let labelled = change(&cluster, &subject, &label(&subject)).await;
    assert!(labelled.has_label(names::INSTANCE_ID_LABEL, subject.instance_id.as_str()));
    assert_eq!(labelled.uid, unlabelled.uid);
    remove(&api, &labelled.name).await;
    assert_eq!(cluster.find(&subject, Duration::ZERO).await, Ok(None));
    assert_eq!(
        cluster.change(&labelled, &label(&subject)).await,
        Ok(Changed::Gone)
    );
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_node_that_carries_the_label_of_another_instance_is_ignored() {
    let client = client().await;
    let (cluster, ours, theirs) = (cluster(&client), subject(), subject());
    let api = Api::<CoreNode>::all(client);
    let mut copied = node_of(&theirs);
    copied["metadata"]["labels"][names::INSTANCE_ID_LABEL] = json!(ours.instance_id);
    create(&api, copied).await;
    assert_eq!(cluster.find(&ours, Duration::ZERO).await, Ok(None));
    create(&api, node_of(&ours)).await;
    let found = cluster
        .find(&ours, Duration::ZERO)
        .await
        .expect("an answer")
        .expect("the node");
    assert!(ours.instance_id.matches_provider_id(&found.provider_id));
    for subject in [&ours, &theirs] {
        remove(&api, &format!("node-of-{}", subject.instance_id)).await;
    }
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_node_with_a_wrong_label_is_found_in_every_way() {
    let client = client().await;
    let cluster = cluster(&client);
    let subject = Subject {
        lifecycle_state: "InService".into(),
        ..subject()
    };
    let api = Api::<CoreNode>::all(client);
    let mut wrong = node_of(&subject);
    wrong["metadata"]["labels"][names::INSTANCE_ID_LABEL] = json!("i-0fedcba9876543210");
    let name = format!("node-of-{}", subject.instance_id);
    create(&api, wrong).await;
    let mut named = subject.clone();
    named.identity.node_name = Some(name.clone());
    let mut known = named.clone();
    known.identity.node_uid = Some("of-before".into());
    for subject in [&subject, &named, &known] {
        let found = cluster.find(subject, Duration::ZERO).await.expect("an answer");
        assert_eq!(found.map(|node| node.name), Some(name.clone()));
    }
    remove(&api, &name).await;
    for subject in [&subject, &named, &known] {
        assert_eq!(cluster.find(subject, Duration::ZERO).await, Ok(None));
    }
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_change_of_a_node_that_somebody_else_has_changed_is_refused() {
    let client = client().await;
    let (cluster, subject) = (cluster(&client), subject());
    let api = Api::<CoreNode>::all(client);
    create(&api, node_of(&subject)).await;
    let seen = cluster
        .find(&subject, Duration::ZERO)
        .await
        .expect("an answer")
        .expect("the node");
    let drain = Patch::Merge(
        json!({"metadata": {"annotations": {"tidegate.dev/drain-since": "2026-01-02T03:04:05Z"}}}),
    );
    api.patch(&seen.name, &PatchParams::default(), &drain)
        .await
        .expect("patched");
    assert_eq!(
        cluster.change(&seen, &label(&subject)).await,
        Ok(Changed::Conflict)
    );
    let now = cluster
        .find(&subject, Duration::ZERO)
        .await
        .expect("an answer")
        .expect("the node");
    assert!(now.draining_since().is_some());
    assert!(
        !now.labels.contains_key(names::INSTANCE_ID_LABEL),
        "the refused change was made"
    );
    remove(&api, &seen.name).await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn the_startup_taint_goes_alone_and_a_cordon_changes_nothing_else() {
    let client = client().await;
    let (cluster, subject) = (cluster(&client), subject());
    let api = Api::<CoreNode>::all(client);
    let mut tainted = node_of(&subject);
    tainted["spec"]["taints"] = json!([
        {"key": "before", "value": "kept", "effect": "PreferNoSchedule"},
        {"key": names::STARTUP_TAINT, "value": "joining", "effect": "NoSchedule"},
        {"key": "after", "effect": "NoExecute", "timeAdded": "2026-01-02T03:04:05Z"},
    ]);
    create(&api, tainted).await;
    let open = NodeChange {
        remove_startup_taint: true,
        ..NodeChange::default()
    };
    let opened = change(&cluster, &subject, &open).await;
    assert!(!opened.startup_taint && !opened.unschedulable);
    let kept: Vec<_> = opened
        .other_taints
        .iter()
        .map(|taint| taint.key.as_str())
        .collect();
    assert!(kept.contains(&"before") && kept.contains(&"after"), "{kept:?}");
    let after = opened
        .other_taints
        .iter()
        .find(|taint| taint.key == "after")
        .expect("it stayed");
    assert_eq!(
        after.time_added.map(|time| time.to_string()).as_deref(),
        Some("2026-01-02T03:04:05Z")
    );
    let cordon = NodeChange {
        cordon: true,
        ..NodeChange::default()
    };
    let cordoned = change(&cluster, &subject, &cordon).await;
    assert!(cordoned.unschedulable);
    assert_eq!(cordoned.labels, opened.labels);
    remove(&api, &opened.name).await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_watch_sees_a_node_join_within_its_window() {
    let client = client().await;
    let (cluster, subject) = (cluster(&client), subject());
    let api = Api::<CoreNode>::all(client);
    let began = Instant::now();
    let joins = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        create(&api, node_of(&subject)).await
    };
    let (found, _) = tokio::join!(cluster.find(&subject, WATCH), joins);
    let found = found.expect("an answer").expect("the node");
    assert!(subject.instance_id.matches_provider_id(&found.provider_id));
    assert!(began.elapsed() < WATCH / 2, "{:?}", began.elapsed());
    remove(&api, &found.name).await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_watch_over_a_quiet_cluster_ends_in_its_time() {
    let (cluster, subject) = (cluster(&client().await), subject());
    let began = Instant::now();
    assert_eq!(cluster.find(&subject, Duration::from_secs(2)).await, Ok(None));
    let took = began.elapsed();
    assert!((2_000..8_000).contains(&took.as_millis()), "{took:?}");
}

/// The first watch is made to begin at the first version of all, and to end after a second. An API server that has
/// started since then has forgotten that version and answers 410; one that has not ends the watch.
#[tokio::test]
#[ignore = "needs the local world"]
async fn a_watch_that_ends_early_or_begins_too_long_ago_begins_again_from_a_new_list() {
    let subject = subject();
    let watches = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&watches);
    let spoil = MapRequestLayer::new(move |mut request: http::Request<Body>| {
        let uri = request.uri().to_string();
        if uri.contains("watch=true") && counted.fetch_add(1, Ordering::Relaxed) == 0 {
            let (path, query) = uri.split_once('?').expect("a query");
            let query: Vec<_> = query
                .split('&')
                .map(|pair| match pair.split_once('=') {
                    Some(("resourceVersion", _)) => "resourceVersion=1",
                    Some(("timeoutSeconds", _)) => "timeoutSeconds=1",
                    _ => pair,
                })
                .collect();
            *request.uri_mut() = format!("{path}?{}", query.join("&")).parse().expect("a URI");
        }
        request
    });
    let spoilt = ClientBuilder::try_from(configuration().await)
        .expect("a client")
        .with_layer(&spoil)
        .build();
    let cluster = cluster(&spoilt);
    let api = Api::<CoreNode>::all(client().await);
    let joins = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        create(&api, node_of(&subject)).await
    };
    let (found, _) = tokio::join!(cluster.find(&subject, WATCH), joins);
    let found = found.expect("an answer").expect("the node");
    assert_eq!(
        watches.load(Ordering::Relaxed),
        2,
        "one that was lost, one that saw the node"
    );
    remove(&api, &found.name).await;
}
