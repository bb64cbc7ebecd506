//! A small world: a cluster with its caches, groups, and what AWS tells.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use destroy_cluster::{DestroyCluster, Neighbours};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tidegate_domain::api_server::ApiServer;
use tidegate_domain::bootstrap::{KnownCluster, KnownClusters, NodeGroupRow, Objects, title};
use tidegate_domain::cache::{IdleWait, WorkerState};
use tidegate_domain::destroy::{GroupHooks, HeldVolume, OwnExecutions, Remain, Remains, Teardown, WorkerPod};
use tidegate_domain::drift::{Group, GroupsView, Member, Scope, SeenNode};
use tidegate_domain::error::Result;
use tidegate_domain::names;
use tidegate_domain::node::{Node, NodeChange, VolumePhase};
use tidegate_domain::ports::{Changed, Clock, GroupHook};
use tidegate_lambda::Serve;

pub(crate) const ONE: &str = "10.0.1.7";
pub(crate) const OTHER: &str = "10.0.1.8";

/// A file in the caches.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// For each of its blocks of 10 bytes, the hosts that hold it.
    pub(crate) blocks: Vec<Vec<&'static str>>,
    pub(crate) completed_at: Timestamp,
    pub(crate) persisted: bool,
    pub(crate) completed: bool,
    pub(crate) asked: bool,
}

/// What the world is like.
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct State {
    pub(crate) now: Timestamp,
    pub(crate) status: Option<&'static str>,
    pub(crate) files: BTreeMap<String, File>,
    pub(crate) workers: BTreeMap<&'static str, WorkerState>,
    pub(crate) pods: Vec<WorkerPod>,
    pub(crate) alluxio: bool,
    /// The under store takes nothing.
    pub(crate) store_refuses: bool,
    /// A client writes this file just before a worker is taken out of service.
    pub(crate) races: Option<&'static str>,
    pub(crate) busy: bool,
    /// By title.
    pub(crate) objects: BTreeMap<String, Value>,
    pub(crate) volumes: Vec<HeldVolume>,
    pub(crate) nodes: Vec<SeenNode>,
    pub(crate) hooks: Vec<&'static str>,
    pub(crate) running: Vec<String>,
    pub(crate) remains: Vec<Remain>,
    pub(crate) groups_exist: bool,
    /// Everything that was changed, in order.
    pub(crate) did: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct World(pub(crate) Rc<RefCell<State>>);

impl Neighbours for World {
    type Eks = Self;
    type Cluster = Self;
    type Groups = Self;
    type Executions = Self;
    type Ec2 = Self;
    type Master = Self;
    type Workers = Self;
    type Clock = Self;
}

pub(crate) fn began() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().expect("a time")
}

/// An object that we have applied.
pub(crate) fn ours(version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Value {
    let mut object = theirs(version, kind, namespace, name);
    object["metadata"]["managedFields"] = json!([{"manager": "tidegate", "operation": "Apply"}]);
    object
}

/// One that somebody else has made.
pub(crate) fn theirs(version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Value {
    let mut metadata = json!({"name": name, "uid": format!("uid-{name}")});
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    json!({"apiVersion": version, "kind": kind, "metadata": metadata})
}

pub(crate) fn pod(host: &str) -> WorkerPod {
    WorkerPod {
        name: format!("alluxio-worker-{host}"),
        host: host.to_owned(),
        running: true,
        deleting: false,
    }
}

impl Default for World {
    /// A cluster that was set up: two workers, a master of its own, volumes, hooks.
    fn default() -> Self {
        let mut workers = ours("apps/v1", "DaemonSet", Some("alluxio"), "alluxio-worker-2x300g");
        workers["metadata"]["labels"] = json!({"role": "alluxio-worker"});
        let mut masters = ours("apps/v1", "StatefulSet", Some("alluxio"), "alluxio-master");
        masters["metadata"]["labels"] = json!({"role": "alluxio-master"});
        masters["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "journal"}}]);
        let mut autoscaler = theirs("apps/v1", "Deployment", Some("scaling"), "autoscaler");
        autoscaler["metadata"]["labels"] = json!({"app.kubernetes.io/name": "aws-cluster-autoscaler"});
        autoscaler["spec"] = json!({"replicas": 2});
        let mut record = ours("v1", "ConfigMap", Some("kube-system"), "tidegate-manifests");
        record["data"] = json!({"objects.json": "[]"});
        let objects = [
            workers,
            masters,
            autoscaler,
            record,
            ours(
                "apps/v1",
                "DaemonSet",
                Some("kube-system"),
                "local-volume-provisioner",
            ),
            ours(
                "rbac.authorization.k8s.io/v1",
                "ClusterRole",
                None,
                "tidegate-drain-cache",
            ),
            ours("storage.k8s.io/v1", "StorageClass", None, "fast-disks"),
            ours("v1", "Namespace", None, "alluxio"),
            theirs("v1", "Namespace", None, "team"),
            theirs("apps/v1", "Deployment", Some("kube-system"), "coredns"),
            theirs(
                "v1",
                "PersistentVolumeClaim",
                Some("alluxio"),
                "journal-alluxio-master-0",
            ),
        ];
        Self(Rc::new(RefCell::new(State {
            now: began(),
            status: Some("ACTIVE"),
            files: BTreeMap::new(),
            workers: [(ONE, WorkerState::Live), (OTHER, WorkerState::Live)].into(),
            pods: vec![pod(ONE), pod(OTHER)],
            alluxio: true,
            store_refuses: false,
            races: None,
            busy: false,
            objects: objects
                .into_iter()
                .map(|object| (title(&object), object))
                .collect(),
            volumes: vec![volume("local-pv-1", None)],
            nodes: vec![joined("node-1"), joined("node-2")],
            hooks: vec!["join", "drain", "eks"],
            running: Vec::new(),
            remains: Vec::new(),
            groups_exist: true,
            did: Vec::new(),
        })))
    }
}

/// A node as its join left it.
fn joined(name: &str) -> SeenNode {
    let labels = [names::INSTANCE_ID_LABEL, names::WORKER_LABEL, "team"];
    SeenNode {
        node: Node {
            name: name.into(),
            labels: labels.map(|label| (label.to_owned(), "x".to_owned())).into(),
            ..Node::default()
        },
        ready_since: None,
    }
}

/// A disk of a node, or the volume of a claim of ours.
pub(crate) fn volume(name: &str, handle: Option<&str>) -> HeldVolume {
    HeldVolume {
        name: name.into(),
        uid: format!("uid-{name}"),
        storage_class: if handle.is_some() {
            "standard"
        } else {
            "fast-disks"
        }
        .into(),
        phase: VolumePhase::Released,
        claim: handle.map(|_| ("alluxio".into(), "journal-alluxio-master-0".into())),
        deletes: true,
        handle: handle.map(ToOwned::to_owned),
        of_instance: handle.is_none(),
    }
}

impl World {
    pub(crate) fn write(&self, path: &str, hosts: &[&'static str]) {
        self.write_blocks(path, &[hosts]);
    }

    /// Writes a file an hour ago, of which each block is on those hosts now.
    pub(crate) fn write_blocks(&self, path: &str, blocks: &[&[&'static str]]) {
        let file = File {
            blocks: blocks.iter().map(|hosts| hosts.to_vec()).collect(),
            completed_at: began() - SignedDuration::from_hours(1),
            persisted: false,
            completed: true,
            asked: false,
        };
        self.0.borrow_mut().files.insert(path.to_owned(), file);
    }

    pub(crate) fn did(&self, what: &str) -> bool {
        self.0.borrow().did.iter().any(|did| did.contains(what))
    }

    /// Calls the function once.
    pub(crate) async fn call(&self, stack: Option<&str>, payload: Value) -> Result<Value> {
        let connecting = self.clone();
        let function = DestroyCluster::<Self> {
            eks: self.clone(),
            connect: Box::new(move |_: &ApiServer| Ok(connecting.clone())),
            groups: self.clone(),
            executions: self.clone(),
            ec2: self.clone(),
            master: self.clone(),
            workers: self.clone(),
            clock: self.clone(),
            scope: Scope {
                join_hook: "join".into(),
                drain_hook: "drain".into(),
                namespace: "alluxio".into(),
            },
            group_names: vec!["nvme".into()],
            cluster_name: "prod".into(),
            stack_name: stack.map(ToOwned::to_owned),
            watch_seconds: 20,
            limit_seconds: 600,
            idle_wait: IdleWait {
                refresh_seconds: 10,
                limit_seconds: 30,
            },
        };
        function.serve(payload).await.map(|reply| reply.answer)
    }

    /// Calls until it answers something else than that it waits; at most so often.
    pub(crate) async fn until_done(&self, stage: &str, more: Value, calls: usize) -> Value {
        let mut progress = json!({});
        let mut last = Value::Null;
        for _ in 0..calls {
            let mut payload = json!({
                "input": {"cluster": "prod", "confirm": "prod"},
                "startedAt": began(),
                "stage": stage,
                "progress": progress,
            });
            for (field, value) in more.as_object().into_iter().flatten() {
                payload[field] = value.clone();
            }
            last = self.call(Some("prod-cluster"), payload).await.expect("an answer");
            if last["outcome"] != "waiting" {
                return last;
            }
            progress = last["progress"].clone();
            let seconds = last["retryAfterSeconds"].as_i64().expect("when to ask again");
            self.pass(seconds);
        }
        last
    }

    /// Time passes: what was asked for is written, unless the under store refuses.
    fn pass(&self, seconds: i64) {
        let mut state = self.0.borrow_mut();
        state.now += SignedDuration::from_secs(seconds);
        if !state.store_refuses {
            for file in state.files.values_mut() {
                file.persisted |= file.asked;
            }
        }
        // The driver takes away what its claims do not need any more, Kubernetes what ends.
        let claimed = state.objects.keys().any(|name| name.contains("journal-"));
        if !claimed {
            state
                .volumes
                .retain(|volume| volume.handle.is_none() || !volume.deletes);
        }
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.0.borrow().now
    }

    async fn sleep(&self, duration: Duration) {
        let seconds = SignedDuration::try_from(duration).expect("short").as_secs();
        self.pass(seconds.max(1));
    }
}

impl KnownClusters for World {
    async fn cluster(&self) -> Result<Option<KnownCluster>> {
        let status = self.0.borrow().status;
        Ok(status.map(|status| KnownCluster {
            version: "1.35".into(),
            status: status.into(),
            api_server: Some(ApiServer {
                endpoint: "https://127.0.0.1:6443".into(),
                certificate_authority: String::new(),
            }),
        }))
    }

    async fn node_groups(&self) -> Result<Vec<NodeGroupRow>> {
        panic!("not asked for")
    }
}

impl GroupsView for World {
    async fn groups(&self, names: &[String]) -> Result<Vec<Group>> {
        let state = self.0.borrow();
        let hooks = state.hooks.iter().map(|name| GroupHook {
            name: (*name).to_owned(),
            transition: String::new(),
            heartbeat_seconds: 300,
            global_seconds: 300,
            default_result: "ABANDON".into(),
        });
        let hooks: Vec<_> = hooks.collect();
        let group = |name: &String| Group {
            name: name.clone(),
            exists: state.groups_exist,
            one_array: false,
            retains: true,
            hooks: hooks.clone(),
            members: vec![Member {
                instance: "i-1".into(),
                ..Member::default()
            }],
        };
        Ok(names.iter().map(group).collect())
    }

    async fn put_hook(&self, _: &str, _: &GroupHook) -> Result<()> {
        panic!("a destroy puts no hook")
    }

    async fn retain(&self, _: &str) -> Result<()> {
        panic!("a destroy sets nothing right")
    }
}

impl GroupHooks for World {
    async fn delete_hook(&self, group: &str, hook: &str) -> Result<()> {
        let mut state = self.0.borrow_mut();
        state.hooks.retain(|name| *name != hook);
        state.did.push(format!("hook {hook} of {group}"));
        Ok(())
    }
}

impl OwnExecutions for World {
    async fn running(&self) -> Result<Vec<String>> {
        Ok(self.0.borrow().running.clone())
    }
}

impl Remains for World {
    async fn remains(&self, _: &str) -> Result<Vec<Remain>> {
        Ok(self.0.borrow().remains.clone())
    }
}

impl Objects for World {
    async fn get(&self, object: &Value) -> Result<Option<Value>> {
        Ok(self.0.borrow().objects.get(&title(object)).cloned())
    }

    async fn apply(&self, object: &Value) -> Result<Value> {
        let mut state = self.0.borrow_mut();
        let mut live = object.clone();
        live["metadata"]["uid"] = json!("uid-applied");
        live["metadata"]["managedFields"] = json!([{"manager": "tidegate", "operation": "Apply"}]);
        state.did.push(format!("apply {}", title(object)));
        state.objects.insert(title(object), live.clone());
        Ok(live)
    }
}

impl Teardown for World {
    async fn managed(&self) -> Result<Vec<Value>> {
        let state = self.0.borrow();
        let managed = state.objects.values();
        Ok(managed
            .filter(|object| object["kind"] != "PersistentVolumeClaim")
            .cloned()
            .collect())
    }

    async fn in_namespace(&self, namespace: &str) -> Result<Vec<Value>> {
        let state = self.0.borrow();
        let here = state.objects.values();
        Ok(here
            .filter(|object| object["metadata"]["namespace"] == namespace)
            .cloned()
            .collect())
    }

    async fn nodes(&self) -> Result<Vec<SeenNode>> {
        Ok(self.0.borrow().nodes.clone())
    }

    async fn change_node(&self, node: &Node, change: &NodeChange) -> Result<Changed> {
        let mut state = self.0.borrow_mut();
        let taken: Vec<_> = change.labels.keys().copied().collect();
        state
            .did
            .push(format!("take {} off {}", taken.join(" "), node.name));
        for seen in state.nodes.iter_mut().filter(|seen| seen.node.name == node.name) {
            seen.node
                .labels
                .retain(|label, _| !taken.contains(&label.as_str()));
        }
        Ok(Changed::Done)
    }

    async fn worker_pods(&self, _: &str) -> Result<Vec<WorkerPod>> {
        Ok(self.0.borrow().pods.clone())
    }

    async fn held_volumes(&self) -> Result<Vec<HeldVolume>> {
        Ok(self.0.borrow().volumes.clone())
    }

    async fn remove(&self, object: &Value) -> Result<Changed> {
        let mut state = self.0.borrow_mut();
        let name = title(object);
        state.did.push(format!("delete {name}"));
        state.objects.remove(&name);
        let volume = object["metadata"]["name"].as_str().unwrap_or_default();
        state.volumes.retain(|held| held.name != volume);
        if name.contains("alluxio-worker") {
            state.pods.clear();
        }
        Ok(Changed::Done)
    }

    async fn merge(&self, object: &Value, patch: &Value) -> Result<Changed> {
        let mut state = self.0.borrow_mut();
        let name = title(object);
        state
            .did
            .push(format!("scale {name} to {}", patch["spec"]["replicas"]));
        if let Some(live) = state.objects.get_mut(&name) {
            live["spec"]["replicas"] = patch["spec"]["replicas"].clone();
            live["metadata"]["annotations"] = patch["metadata"]["annotations"].clone();
        }
        Ok(Changed::Done)
    }
}
