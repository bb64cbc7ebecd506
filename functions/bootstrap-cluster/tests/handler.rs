//! The function in a small world: what it waits for, what it gives up, what it leaves alone.

#![allow(clippy::expect_used, clippy::panic, reason = "part of tests")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bootstrap_cluster::{AddOns, BootstrapCluster};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tidegate_domain::api_server::ApiServer;
use tidegate_domain::bootstrap::{
    DaemonSetRow, GroupTypes, Inventory, KnownCluster, KnownClusters, LaunchTemplates, NodeGroupRow, NodeRow,
    Objects, Rows, TypeSource, UsageRow, VolumeRow, title,
};
use tidegate_domain::cache::Worker;
use tidegate_domain::disks::Disk;
use tidegate_domain::drift::{
    ClusterView, Group, GroupsView, Manifests, Scope, SeenClaim, SeenNode, SeenPod, SeenVolume, Workers,
    WorkersView,
};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::ports::{Changed, Clock, Ec2Instance, GroupHook, Instances};
use tidegate_domain::subject::InstanceId;
use tidegate_lambda::Serve;
use tidegate_manifests::Settings;

/// What the world is like.
struct State {
    now: Timestamp,
    status: &'static str,
    instance_type: &'static str,
    group_exists: bool,
    alluxio: bool,
    /// By title; what is applied lands here.
    objects: BTreeMap<String, Value>,
    /// Titles of objects whose pods never get ready.
    stuck: Vec<&'static str>,
    applied: Vec<String>,
    hooks: Vec<String>,
}

#[derive(Clone)]
struct World(Rc<RefCell<State>>);

impl Default for World {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(State {
            now: began(),
            status: "ACTIVE",
            instance_type: "m5d.4xlarge",
            group_exists: true,
            alluxio: true,
            // The add-on of the cluster, which makes the volumes of the class standard.
            objects: BTreeMap::from([("CSIDriver ebs.csi.aws.com".to_owned(), json!({}))]),
            stuck: Vec::new(),
            applied: Vec::new(),
            hooks: Vec::new(),
        })))
    }
}

fn began() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().expect("a time")
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.0.borrow().now
    }

    async fn sleep(&self, duration: Duration) {
        self.0.borrow_mut().now += SignedDuration::try_from(duration).expect("short");
    }
}

impl KnownClusters for World {
    async fn cluster(&self) -> Result<Option<KnownCluster>> {
        let status = self.0.borrow().status;
        if status == "ABSENT" {
            return Ok(None);
        }
        let api_server = (status == "ACTIVE").then(|| ApiServer {
            endpoint: "https://127.0.0.1:6443".into(),
            certificate_authority: String::new(),
        });
        Ok(Some(KnownCluster {
            version: "1.35".into(),
            status: status.into(),
            api_server,
        }))
    }

    async fn node_groups(&self) -> Result<Vec<NodeGroupRow>> {
        Ok(Vec::new())
    }
}

impl GroupTypes for World {
    async fn launched_types(&self, groups: &[String]) -> Result<BTreeMap<String, Vec<TypeSource>>> {
        let source = TypeSource::LaunchTemplate {
            id: "lt-1".into(),
            version: "$Latest".into(),
        };
        Ok(groups
            .iter()
            .map(|group| (group.clone(), vec![source.clone()]))
            .collect())
    }
}

impl LaunchTemplates for World {
    async fn instance_type(&self, _: &str, _: &str) -> Result<Option<String>> {
        Ok(Some(self.0.borrow().instance_type.into()))
    }
}

impl Instances for World {
    async fn local_disks(&self, instance_type: &str) -> Result<Vec<Disk>> {
        let disks = if instance_type == "m5d.4xlarge" { 2 } else { 0 };
        Ok(vec![Disk { size_gb: 300 }; disks])
    }

    async fn instance(&self, _: &InstanceId) -> Result<Option<Ec2Instance>> {
        panic!("not asked for")
    }

    async fn with_private_dns_names(&self, _: &[String]) -> Result<Vec<(String, InstanceId)>> {
        panic!("not asked for")
    }
}

impl GroupsView for World {
    async fn groups(&self, names: &[String]) -> Result<Vec<Group>> {
        let exists = self.0.borrow().group_exists;
        let group = |name: &String| Group {
            name: name.clone(),
            exists,
            retains: true,
            ..Group::default()
        };
        Ok(names.iter().map(group).collect())
    }

    async fn put_hook(&self, _: &str, hook: &GroupHook) -> Result<()> {
        self.0.borrow_mut().hooks.push(hook.name.clone());
        Ok(())
    }

    async fn retain(&self, _: &str) -> Result<()> {
        panic!("it retains")
    }
}

impl WorkersView for World {
    async fn workers(&self) -> Result<Workers> {
        if self.0.borrow().alluxio {
            return Ok(Workers::default());
        }
        Err(Error::new(
            ErrorName::AlluxioUnavailable,
            "no Alluxio master answers",
        ))
    }

    async fn forget(&self, _: &Worker) -> Result<Changed> {
        panic!("not asked for")
    }
}

impl Objects for World {
    async fn get(&self, object: &Value) -> Result<Option<Value>> {
        Ok(self.0.borrow().objects.get(&title(object)).cloned())
    }

    async fn apply(&self, object: &Value) -> Result<Value> {
        let mut state = self.0.borrow_mut();
        let name = title(object);
        let stuck = state.stuck.contains(&name.as_str());
        let mut live = object.clone();
        live["status"] = json!({"desiredNumberScheduled": 1, "numberReady": u8::from(!stuck)});
        state.applied.push(name.clone());
        state.objects.insert(name, live.clone());
        Ok(live)
    }
}

impl Inventory for World {
    async fn node_rows(&self) -> Result<Rows<NodeRow>> {
        Ok(Rows::default())
    }

    async fn daemon_set_rows(&self) -> Result<Rows<DaemonSetRow>> {
        Ok(Rows::default())
    }

    async fn volume_rows(&self) -> Result<Rows<VolumeRow>> {
        Ok(Rows::default())
    }

    async fn usage_rows(&self) -> Result<Option<Rows<UsageRow>>> {
        Ok(None)
    }
}

impl ClusterView for World {
    async fn nodes(&self) -> Result<Vec<SeenNode>> {
        Ok(Vec::new())
    }

    async fn volumes(&self) -> Result<Vec<SeenVolume>> {
        panic!("not asked for")
    }

    async fn claims(&self, _: &str) -> Result<Vec<SeenClaim>> {
        panic!("not asked for")
    }

    async fn pods(&self, _: &str) -> Result<Vec<SeenPod>> {
        panic!("not asked for")
    }

    async fn manifests(&self) -> Result<Manifests> {
        panic!("not asked for")
    }

    async fn node(&self, _: &str) -> Result<Option<SeenNode>> {
        panic!("not asked for")
    }

    async fn apply(&self, _: &Value) -> Result<()> {
        panic!("objects are applied")
    }
}

async fn asked(world: &World, more: &Value) -> Value {
    asked_with(world, AddOns::default(), more).await
}

async fn asked_with(world: &World, add_ons: AddOns, more: &Value) -> Value {
    let connecting = world.clone();
    let function = BootstrapCluster {
        eks: world.clone(),
        connect: move |_: &ApiServer| Ok((connecting.clone(), connecting.clone())),
        groups: world.clone(),
        instances: world.clone(),
        clock: world.clone(),
        scope: Scope {
            join_hook: "join".into(),
            drain_hook: "drain".into(),
            namespace: "alluxio".into(),
        },
        manifests: Settings::new(Vec::new(), vec!["m:19998".into()]),
        add_ons,
        group_names: vec!["nvme-nodes".into()],
        cluster_name: "prod".into(),
        watch_seconds: 10,
        limit_seconds: 600,
    };
    let mut call = json!({"input": {}, "startedAt": began()});
    for (field, value) in more.as_object().into_iter().flatten() {
        call[field] = value.clone();
    }
    function.serve(call).await.expect("an answer").answer
}

#[tokio::test]
async fn everything_is_applied_in_order_and_the_record_comes_last() {
    let world = World::default();
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "applied", "{answer:#}");
    assert_eq!(
        answer["progress"]["verified"],
        json!([
            "rights",
            "fast-disks",
            "standard",
            "local-volume-provisioner",
            "alluxio-config",
            "alluxio-workers",
            "record"
        ])
    );
    let state = world.0.borrow();
    assert_eq!(
        state.applied.first().map(String::as_str),
        Some("Namespace alluxio")
    );
    assert_eq!(
        state.applied.last().map(String::as_str),
        Some("ConfigMap kube-system/tidegate-manifests")
    );
    assert_eq!(state.hooks, ["join", "drain"]);
}

#[tokio::test]
async fn what_is_verified_is_not_taken_again_and_without_progress_it_is() {
    let world = World::default();
    asked(&world, &json!({})).await;
    world.0.borrow_mut().applied.clear();
    let verified = json!([
        "rights",
        "fast-disks",
        "standard",
        "local-volume-provisioner",
        "record"
    ]);
    asked(&world, &json!({"progress": {"verified": verified}})).await;
    let applied = world.0.borrow().applied.clone();
    assert!(
        applied
            .iter()
            .all(|name| name.contains("alluxio") || name.contains("drain-rate")),
        "{applied:?}"
    );
    assert!(!applied.is_empty());
}

#[tokio::test]
async fn a_step_that_is_not_ready_holds_the_next_back_and_says_what_it_waits_for() {
    let world = World::default();
    let provisioner = "DaemonSet kube-system/local-volume-provisioner";
    world.0.borrow_mut().stuck.push(provisioner);
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "waiting", "{answer:#}");
    assert_eq!(
        answer["reason"],
        format!("step local-volume-provisioner: {provisioner}: none of its 1 pods is ready")
    );
    assert_eq!(
        answer["progress"]["verified"],
        json!(["rights", "fast-disks", "standard"])
    );
    assert!(
        world.0.borrow().hooks.is_empty(),
        "no instance waits in a hook that nothing completes"
    );
}

#[tokio::test]
async fn a_class_whose_driver_is_missing_is_waited_for() {
    let world = World::default();
    world.0.borrow_mut().objects.clear();
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "waiting", "{answer:#}");
    assert_eq!(
        answer["reason"],
        "step standard: StorageClass standard: there is no CSIDriver ebs.csi.aws.com"
    );
}

#[tokio::test]
async fn the_add_ons_that_are_asked_for_come_before_alluxio_in_the_version_of_the_cluster() {
    let world = World::default();
    let add_ons = AddOns {
        names: vec!["metrics-server".into(), "cluster-autoscaler".into()],
        metrics_server_image: "registry.k8s.io/metrics-server/metrics-server:v0.9.0".into(),
        cluster_autoscaler_image: None,
        region: "us-west-2".into(),
    };
    let answer = asked_with(&world, add_ons, &json!({"input": {"plan": true}})).await;
    let changes = answer["would"].to_string();
    let place = |name: &str| changes.find(name).unwrap_or_else(|| panic!("{name}: {changes}"));
    assert!(
        place("Deployment kube-system/metrics-server") < place("Deployment kube-system/cluster-autoscaler")
    );
    assert!(place("Deployment kube-system/cluster-autoscaler") < place("alluxio-worker-2x300g"));
}

#[tokio::test]
async fn when_the_time_is_over_what_waits_is_incomplete() {
    let world = World::default();
    world.0.borrow_mut().alluxio = false;
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "waiting", "{answer:#}");
    world.0.borrow_mut().now += SignedDuration::from_secs(600);
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "incomplete");
    assert_eq!(
        answer["reason"],
        "not set up within 600 s: no Alluxio master answers"
    );
}

#[tokio::test]
async fn a_cluster_that_is_being_made_is_waited_for_and_one_that_is_not_there_is_not() {
    let world = World::default();
    for (status, outcome, reason) in [
        ("CREATING", "waiting", "cluster prod is CREATING"),
        ("FAILED", "incomplete", "cluster prod is FAILED"),
        ("ABSENT", "incomplete", "there is no cluster prod"),
    ] {
        world.0.borrow_mut().status = status;
        let answer = asked(&world, &json!({})).await;
        assert_eq!(answer["outcome"], outcome, "{answer:#}");
        assert_eq!(answer["reason"], reason);
    }
}

#[tokio::test]
async fn groups_without_disks_or_that_do_not_exist_are_named() {
    let world = World::default();
    world.0.borrow_mut().instance_type = "m5.large";
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "incomplete");
    assert_eq!(
        answer["reason"],
        "none of the groups nvme-nodes has an instance type with local NVMe disks"
    );
    let world = World::default();
    world.0.borrow_mut().group_exists = false;
    let answer = asked(&world, &json!({})).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer:#}");
    assert!(
        answer["reason"].to_string().contains("nvme-nodes do not exist"),
        "{answer:#}"
    );
}

#[tokio::test]
async fn a_plan_changes_nothing_and_says_what_it_would_change() {
    let world = World::default();
    let plan = json!({"input": {"plan": true}});
    let answer = asked(&world, &plan).await;
    assert_eq!(answer["outcome"], "planned");
    let changes = answer["would"].to_string();
    for change in [
        "make Namespace alluxio",
        "make DaemonSet alluxio/alluxio-worker-2x300g",
        "has no hook join",
    ] {
        assert!(changes.contains(change), "{change}: {changes}");
    }
    assert!(world.0.borrow().applied.is_empty() && world.0.borrow().hooks.is_empty());
    asked(&world, &json!({})).await;
    let class = "StorageClass fast-disks";
    world.0.borrow_mut().objects.get_mut(class).expect("applied")["reclaimPolicy"] = json!("Retain");
    let changes = asked(&world, &plan).await["would"].to_string();
    assert!(
        changes.contains(&format!("change {class}: reclaimPolicy is")),
        "{changes}"
    );
    assert!(!changes.contains("make "), "{changes}");
}
