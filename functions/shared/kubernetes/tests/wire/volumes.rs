use std::time::Duration;

use serde_json::{Value, json};
use tidegate_domain::error::ErrorName;
use tidegate_domain::node::{ClaimRef, Owner, Volume, VolumeClaim, VolumePhase};
use tidegate_domain::ports::{Changed, Claims, Volumes};
use tidegate_domain::subject::InstanceId;

use crate::script::{Answer, Script};

const ID: &str = "i-0123456789abcdef0";

fn instance() -> InstanceId {
    InstanceId::parse(ID).unwrap_or_else(|error| unreachable!("{error}"))
}

fn volume(name: &str, phase: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "annotations": {
            "pv.kubernetes.io/provisioned-by": "local-volume-provisioner-ours-node-uid"}},
        "spec": {
            "capacity": {"storage": "273Gi"}, "storageClassName": "fast-disks",
            "claimRef": {"namespace": "alluxio", "name": "tier-0", "uid": "claim-uid"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": ["ip-10-0-0-7"]}]}]}},
        },
        "status": {"phase": phase},
    })
}

fn seen() -> Volume {
    Volume {
        name: "pv-1".into(),
        uid: "uid-pv-1".into(),
        capacity_bytes: 273 << 30,
        storage_class: "fast-disks".into(),
        hostname: Some("ip-10-0-0-7".into()),
        provisioned_by: Some("local-volume-provisioner-ours-node-uid".into()),
        phase: VolumePhase::Bound,
        claim: Some(ClaimRef {
            namespace: "alluxio".into(),
            name: "tier-0".into(),
            uid: "claim-uid".into(),
        }),
    }
}

#[tokio::test]
async fn the_volumes_of_a_node_are_selected_by_its_label() {
    let script = Script::with([Answer::list(&[volume("pv-1", "Bound")])]);
    let volumes = script
        .cluster
        .of_instance(&instance(), Duration::ZERO, &|_| false)
        .await;
    assert_eq!(volumes, Ok(vec![seen()]));
    let asked = script.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, "GET /api/v1/persistentvolumes");
    assert_eq!(
        asked[0].parameter("labelSelector"),
        Some("tidegate.dev/instance-id=i-0123456789abcdef0")
    );
}

#[tokio::test]
async fn a_watch_keeps_up_with_volumes_that_come_change_and_go_until_there_are_enough() {
    let event = |kind: &str, object: Value| json!({"type": kind, "object": object});
    let script = Script::with([
        Answer::list(&[volume("pv-1", "Pending")]),
        Answer::Watch(vec![
            event("MODIFIED", volume("pv-1", "Available")),
            event("ADDED", volume("pv-2", "Available")),
            event("DELETED", volume("pv-1", "Available")),
            event("ADDED", volume("pv-3", "Available")),
        ]),
    ]);
    let two_available = |volumes: &[Volume]| {
        volumes
            .iter()
            .filter(|volume| volume.phase == VolumePhase::Available)
            .count()
            == 2
            && volumes.iter().any(|volume| volume.name == "pv-3")
    };
    let volumes = script
        .cluster
        .of_instance(&instance(), Duration::from_secs(20), &two_available)
        .await
        .expect("volumes");
    let names: Vec<_> = volumes.iter().map(|volume| volume.name.as_str()).collect();
    assert_eq!(names, ["pv-2", "pv-3"]);
    assert_eq!(
        script.lines(),
        ["GET /api/v1/persistentvolumes", "WATCH /api/v1/persistentvolumes"]
    );
}

#[tokio::test]
async fn an_affinity_that_allows_several_hosts_names_none() {
    let mut shared = volume("pv-1", "Bound");
    shared["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"] =
        json!(["ip-10-0-0-7", "ip-10-0-0-8"]);
    let script = Script::with([Answer::list(&[shared])]);
    let volumes = script
        .cluster
        .of_instance(&instance(), Duration::ZERO, &|_| true)
        .await;
    assert_eq!(volumes.map(|volumes| volumes[0].hostname.clone()), Ok(None));
}

#[tokio::test]
async fn a_capacity_that_is_no_number_of_bytes_is_a_defect() {
    let mut odd = volume("pv-1", "Bound");
    odd["spec"]["capacity"]["storage"] = json!("lots");
    let script = Script::with([Answer::list(&[odd])]);
    let error = script
        .cluster
        .of_instance(&instance(), Duration::ZERO, &|_| true)
        .await
        .expect_err("unreadable");
    assert_eq!(error.name, ErrorName::Defect);
    assert!(
        error.message.contains("pv-1") && error.message.contains("lots"),
        "{error}"
    );
}

#[tokio::test]
async fn exactly_this_volume_and_exactly_this_claim_are_deleted() {
    let script = Script::with([Answer::done(), Answer::done()]);
    let volume = seen();
    assert_eq!(script.cluster.delete(&volume).await, Ok(Changed::Done));
    let claim = volume.claim.expect("a claim");
    assert_eq!(script.cluster.delete_claim(&claim).await, Ok(Changed::Done));
    let asked = script.asked();
    assert_eq!(asked[0].line, "DELETE /api/v1/persistentvolumes/pv-1");
    assert_eq!(asked[0].body, json!({"preconditions": {"uid": "uid-pv-1"}}));
    assert_eq!(
        asked[1].line,
        "DELETE /api/v1/namespaces/alluxio/persistentvolumeclaims/tier-0"
    );
    assert_eq!(asked[1].body, json!({"preconditions": {"uid": "claim-uid"}}));
}

#[tokio::test]
async fn a_claim_is_seen_with_its_owner() {
    let of_worker = json!({
        "metadata": {
            "name": "tier-0", "uid": "claim-uid", "labels": {"role": "alluxio-worker"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "w", "uid": "p", "controller": true}],
        },
        "spec": {},
    });
    let bare = json!({"metadata": {"name": "tier-0", "uid": "claim-uid"}, "spec": {}});
    let owner = Owner {
        kind: "Pod".into(),
        name: "w".into(),
    };
    let role = Some("alluxio-worker".to_owned());
    for (answer, owner, role) in [(of_worker, Some(owner), role), (bare, None, None)] {
        let script = Script::with([Answer::With(200, answer)]);
        let claim = seen().claim.expect("a claim");
        let found = script.cluster.claim(&claim).await.expect("an answer");
        let uid = "claim-uid".into();
        assert_eq!(found, Some(VolumeClaim { uid, owner, role }));
        assert_eq!(
            script.lines(),
            ["GET /api/v1/namespaces/alluxio/persistentvolumeclaims/tier-0"]
        );
    }
    let script = Script::with([Answer::failure(404, "no")]);
    let claim = seen().claim.expect("a claim");
    assert_eq!(script.cluster.claim(&claim).await, Ok(None));
}

#[tokio::test]
async fn another_volume_of_that_name_is_a_conflict_and_none_is_gone() {
    for (code, changed) in [(409, Changed::Conflict), (404, Changed::Gone)] {
        let script = Script::with([Answer::failure(code, "no")]);
        assert_eq!(script.cluster.delete(&seen()).await, Ok(changed));
    }
}
