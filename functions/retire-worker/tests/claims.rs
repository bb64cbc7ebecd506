//! Claims on the disks of a drained node: those of the worker's pod, and those of others.

#![allow(clippy::expect_used, reason = "part of tests")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use retire_worker::RetireWorker;
use serde_json::{Value, json};
use tidegate_domain::cache::{FileState, Stores, Worker};
use tidegate_domain::error::Result;
use tidegate_domain::names;
use tidegate_domain::node::{ClaimRef, Node, NodeChange, Owner, Pod, Volume, VolumeClaim, VolumePhase};
use tidegate_domain::ports::{
    CacheMaster, Changed, Claims, Clock, Copied, CopyTargets, CopyWish, Deletion, Eviction, Nodes, Pods,
    Volumes,
};
use tidegate_domain::subject::{InstanceId, Subject};
use tidegate_lambda::Serve;

const NAMESPACE: &str = "alluxio";
const START: i64 = 1_800_000_000;

/// A node without a worker, the volumes of its disks, and the claims on them.
#[derive(Default)]
struct World {
    volumes: RefCell<Vec<Volume>>,
    claims: RefCell<BTreeMap<String, VolumeClaim>>,
    looked_at: RefCell<Vec<String>>,
    seconds: Cell<i64>,
}

impl World {
    /// The same with a disk that is bound to that claim.
    fn with(self, namespace: &str, name: &str, claim: VolumeClaim) -> Self {
        let claim_ref = ClaimRef {
            namespace: namespace.into(),
            name: name.into(),
            uid: claim.uid.clone(),
        };
        self.claims.borrow_mut().insert(claim_ref.full_name(), claim);
        self.volumes.borrow_mut().push(Volume {
            name: format!("pv-of-{name}"),
            uid: format!("uid-of-{name}"),
            capacity_bytes: 1,
            storage_class: names::FAST_DISKS_CLASS.into(),
            hostname: Some("node-1".into()),
            provisioned_by: None,
            phase: VolumePhase::Bound,
            claim: Some(claim_ref),
        });
        self
    }

    async fn retire(&self, plan: bool) -> Value {
        let function = RetireWorker {
            cluster: self,
            master: self,
            clock: self,
            watch_seconds: 20,
            namespace: NAMESPACE.into(),
        };
        let payload = json!({
            "execution": "arn:aws:states:us-west-2:123456789012:execution:tidegate-node-drain:mine",
            "startedAt": Timestamp::from_second(START).expect("valid"),
            "deadline": Timestamp::from_second(START + 3_600).expect("valid"),
            "plan": plan,
            "node": {
                "instanceId": "i-0123456789abcdef0", "autoScalingGroup": "nvme-nodes",
                "availabilityZone": "us-west-2a", "instanceType": "m5d.4xlarge", "lifecycleState": "InService",
                "disks": [{"sizeGb": 300}], "diskLayout": "1x300g", "hook": null, "retains": true,
            },
        });
        function.serve(payload).await.expect("an answer").answer
    }

    fn claims_left(&self) -> Vec<String> {
        self.claims.borrow().keys().cloned().collect()
    }

    fn volumes_left(&self) -> Vec<String> {
        let volumes = self.volumes.borrow();
        volumes.iter().map(|volume| volume.name.clone()).collect()
    }
}

fn claim(owner: Option<&str>, of_worker: bool) -> VolumeClaim {
    VolumeClaim {
        uid: "claim-uid".into(),
        owner: owner.map(|kind| Owner {
            kind: kind.into(),
            name: "owner".into(),
        }),
        role: of_worker.then(|| names::WORKER_ROLE.to_owned()),
    }
}

/// As Kubernetes makes it for an ephemeral volume of a worker's pod.
fn of_worker() -> VolumeClaim {
    claim(Some("Pod"), true)
}

impl Nodes for &World {
    async fn find(&self, _: &Subject, _: Duration) -> Result<Option<Node>> {
        Ok(Some(Node {
            name: "node-1".into(),
            uid: "node-uid".into(),
            ..Node::default()
        }))
    }

    async fn change(&self, _: &Node, _: &NodeChange) -> Result<Changed> {
        unreachable!("its labels are off")
    }
}

impl Pods for &World {
    async fn on_node(
        &self,
        _: &str,
        _: Option<(&str, &str)>,
        _: Duration,
        _: &dyn Fn(&[Pod]) -> bool,
    ) -> Result<Vec<Pod>> {
        Ok(Vec::new())
    }

    async fn evict(&self, _: &Pod) -> Result<Eviction> {
        unreachable!("there is no pod")
    }

    async fn delete(&self, _: &Pod) -> Result<Deletion> {
        unreachable!("there is no pod")
    }

    async fn worker_daemon_set_exists(&self, _: &str, _: &str) -> Result<bool> {
        unreachable!("retire-worker does not ask")
    }
}

impl Volumes for &World {
    async fn of_instance(
        &self,
        _: &InstanceId,
        within: Duration,
        enough: &dyn Fn(&[Volume]) -> bool,
    ) -> Result<Vec<Volume>> {
        // Kubernetes releases the volume of a claim that is gone.
        let claims = self.claims.borrow();
        for volume in self.volumes.borrow_mut().iter_mut() {
            if volume
                .claim
                .as_ref()
                .is_some_and(|claim| !claims.contains_key(&claim.full_name()))
            {
                volume.phase = VolumePhase::Released;
            }
        }
        let volumes = self.volumes.borrow().clone();
        if !enough(&volumes) {
            let seconds = i64::try_from(within.as_secs()).expect("short");
            self.seconds.set(self.seconds.get() + seconds);
        }
        Ok(volumes)
    }

    async fn delete(&self, volume: &Volume) -> Result<Changed> {
        self.volumes.borrow_mut().retain(|kept| kept.uid != volume.uid);
        Ok(Changed::Done)
    }
}

impl Claims for &World {
    async fn claim(&self, claim: &ClaimRef) -> Result<Option<VolumeClaim>> {
        self.looked_at.borrow_mut().push(claim.full_name());
        Ok(self.claims.borrow().get(&claim.full_name()).cloned())
    }

    async fn delete_claim(&self, claim: &ClaimRef) -> Result<Changed> {
        self.claims.borrow_mut().remove(&claim.full_name());
        Ok(Changed::Done)
    }
}

impl CacheMaster for &World {
    async fn worker(&self, _: &str) -> Result<Option<Worker>> {
        Ok(None)
    }

    async fn lost_storage(&self, _: &str) -> Result<Vec<String>> {
        unreachable!("retire-worker does not ask")
    }

    async fn file(&self, _: &str) -> Result<Option<FileState>> {
        unreachable!("retire-worker does not ask")
    }

    async fn stores(&self) -> Result<Stores> {
        unreachable!("retire-worker does not ask")
    }

    async fn persist(&self, _: &str) -> Result<Changed> {
        unreachable!("retire-worker does not ask")
    }

    async fn copy(&self, _: &CopyWish<'_>, _: &impl CopyTargets) -> Result<Copied> {
        unreachable!("retire-worker does not ask")
    }

    async fn decommission(&self, _: &Worker) -> Result<Changed> {
        unreachable!("retire-worker does not ask")
    }
}

impl Clock for &World {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(START + self.seconds.get()).expect("valid")
    }

    async fn sleep(&self, _: Duration) {}
}

#[tokio::test]
async fn the_workers_claims_and_volumes_go() {
    let world =
        World::default()
            .with(NAMESPACE, "tier-0", of_worker())
            .with(NAMESPACE, "tier-1", of_worker());
    let answer = world.retire(false).await;
    assert_eq!(answer["outcome"], "retired", "{answer}");
    assert_eq!(answer["deletedVolumes"], json!(["pv-of-tier-0", "pv-of-tier-1"]));
    assert!(world.claims_left().is_empty() && world.volumes_left().is_empty());
}

#[tokio::test]
async fn a_claim_of_others_is_named_and_holds_up_nothing() {
    for (namespace, theirs) in [
        ("team-a", claim(None, false)),
        ("team-a", of_worker()),
        (NAMESPACE, claim(None, true)),
        (NAMESPACE, claim(Some("Pod"), false)),
        (NAMESPACE, claim(Some("StatefulSet"), false)),
    ] {
        let world = World::default().with(namespace, "scratch", theirs.clone()).with(
            NAMESPACE,
            "tier-0",
            of_worker(),
        );
        let answer = world.retire(false).await;
        let full_name = format!("{namespace}/scratch");
        assert_eq!(answer["outcome"], "retired", "{theirs:?}: {answer}");
        assert_eq!(world.claims_left(), [full_name.as_str()], "{theirs:?}");
        assert_eq!(world.volumes_left(), ["pv-of-scratch"], "{theirs:?}");
        for told in [&answer["foreignClaims"][0], &answer["reason"]] {
            let told = told.as_str().expect("a text");
            assert!(told.contains(&format!("claim {full_name}")), "{told}");
        }
        assert_eq!(world.seconds.get(), 0, "it was waited for");
    }
}

#[tokio::test]
async fn a_claim_of_another_namespace_is_not_asked_about() {
    let world = World::default().with("team-a", "scratch", of_worker());
    world.retire(false).await;
    world.retire(true).await;
    assert!(world.looked_at.borrow().is_empty());
}

#[tokio::test]
async fn a_plan_tells_whose_claims_stay() {
    let world = World::default()
        .with("team-a", "scratch", claim(None, false))
        .with(NAMESPACE, "tier-0", of_worker());
    let answer = world.retire(true).await;
    assert_eq!(
        answer["would"],
        json!(["delete 1 volumes: pv-of-tier-0 with claim alluxio/tier-0"])
    );
    let in_the_way = answer["inTheWay"][0].as_str().expect("a text");
    assert!(in_the_way.starts_with("claim team-a/scratch"), "{in_the_way}");
    assert_eq!(world.claims_left().len(), 2, "nothing is touched");
}
