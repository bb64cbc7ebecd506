//! A small world: one group, one instance that waits to end, whatever a test changes of it, and a note of each change.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_domain::cache::Worker;
use tidegate_domain::disks::Disk;
use tidegate_domain::drift::{
    Attempt, ClusterView, ExecutionsView, FailedExecution, Group, GroupsView, LifecycleActions, Manifests,
    Member, Memory, RunningExecution, SeenClaim, SeenNode, SeenPod, SeenVolume, Subjects, WaitingHook,
    Workers, WorkersView,
};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::node::{Node, NodeChange, Volume};
use tidegate_domain::ports::{Changed, Clock, Ec2Instance, GroupHook, Instances, Nodes, Volumes};
use tidegate_domain::resolve::Direction;
use tidegate_domain::subject::{InstanceId, Subject};

pub(crate) const INSTANCE: &str = "i-0123456789abcdef0";

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct State {
    pub(crate) lifecycle: String,
    pub(crate) memory: Memory,
    pub(crate) attempts: BTreeMap<String, Attempt>,
    pub(crate) volumes: Vec<SeenVolume>,
    pub(crate) nodes: BTreeMap<String, SeenNode>,
    /// What happens to the nodes after each look at them, the first after the first.
    pub(crate) meanwhile: VecDeque<fn(&mut Node)>,
    pub(crate) running: Vec<RunningExecution>,
    pub(crate) api_server_away: bool,
    pub(crate) started: Vec<String>,
    pub(crate) deleted: Vec<String>,
    pub(crate) hooks_put: Vec<String>,
    pub(crate) hooks_missing: bool,
    pub(crate) hooks_refused: bool,
    /// Whether our hooks are completed, and another one holds the instance.
    pub(crate) held_by_another_hook: bool,
    pub(crate) heartbeats: Vec<String>,
    pub(crate) inputs: Vec<Value>,
    pub(crate) destroying_since: Option<String>,
    pub(crate) now: i64,
}

#[derive(Clone, Default)]
pub(crate) struct World(pub(crate) Rc<RefCell<State>>);

impl World {
    fn cluster<T>(&self, answer: T) -> Result<T> {
        if self.0.borrow().api_server_away {
            Err(Error::new(ErrorName::KubernetesUnavailable, "connection refused"))
        } else {
            Ok(answer)
        }
    }
}

impl World {
    fn looked(&self) {
        let mut state = self.0.borrow_mut();
        if let Some(happens) = state.meanwhile.pop_front() {
            state.nodes.values_mut().for_each(|seen| happens(&mut seen.node));
        }
    }
}

impl LifecycleActions for World {
    async fn waits(&self, hook: &WaitingHook, instance: &str) -> Result<bool> {
        let mut state = self.0.borrow_mut();
        state.heartbeats.push(format!("{}/{instance}", hook.name));
        Ok(!state.held_by_another_hook)
    }
}

impl GroupsView for World {
    async fn groups(&self, names: &[String]) -> Result<Vec<Group>> {
        let state = self.0.borrow();
        let hook = |name: &str, direction: Direction| GroupHook {
            name: name.into(),
            transition: direction.transition().into(),
            heartbeat_seconds: 1_800,
            global_seconds: 172_800,
            default_result: "ABANDON".into(),
        };
        let hooks = vec![
            hook("tidegate-node-join", Direction::Join),
            hook("tidegate-node-drain", Direction::Drain),
        ];
        Ok(vec![Group {
            name: names[0].clone(),
            exists: true,
            one_array: false,
            retains: true,
            hooks: if state.hooks_missing { Vec::new() } else { hooks },
            members: vec![Member {
                instance: INSTANCE.into(),
                instance_type: "m5d.2xlarge".into(),
                lifecycle_state: state.lifecycle.clone(),
            }],
        }])
    }

    async fn put_hook(&self, _: &str, hook: &GroupHook) -> Result<()> {
        let mut state = self.0.borrow_mut();
        if state.hooks_refused && hook.name.ends_with("join") {
            return Err(Error::new(ErrorName::AwsRefused, "AccessDenied"));
        }
        state.hooks_put.push(hook.name.clone());
        Ok(())
    }

    async fn retain(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

impl Instances for World {
    async fn local_disks(&self, _: &str) -> Result<Vec<Disk>> {
        Ok(vec![Disk { size_gb: 300 }])
    }

    async fn instance(&self, _: &InstanceId) -> Result<Option<Ec2Instance>> {
        Ok(None)
    }

    async fn with_private_dns_names(&self, _: &[String]) -> Result<Vec<(String, InstanceId)>> {
        Ok(Vec::new())
    }
}

impl WorkersView for World {
    async fn workers(&self) -> Result<Workers> {
        Ok(Workers::default())
    }

    async fn forget(&self, _: &Worker) -> Result<Changed> {
        Ok(Changed::Done)
    }
}

impl ExecutionsView for World {
    async fn running(&self) -> Result<Vec<RunningExecution>> {
        Ok(self.0.borrow().running.clone())
    }

    async fn subjects(&self, _: &str) -> Result<Option<Subjects>> {
        let instances = vec![INSTANCE.to_owned()];
        Ok(Some(Subjects {
            instances,
            nodes: Vec::new(),
        }))
    }

    async fn failed_since(&self, _: Timestamp) -> Result<Vec<FailedExecution>> {
        Ok(Vec::new())
    }

    async fn memory(&self) -> Result<Memory> {
        Ok(self.0.borrow().memory.clone())
    }

    async fn attempt(&self, _: Direction, name: &str) -> Result<Option<Attempt>> {
        Ok(self.0.borrow().attempts.get(name).cloned())
    }

    async fn start(&self, _: Direction, name: &str, input: &Value) -> Result<bool> {
        let mut state = self.0.borrow_mut();
        if state.started.iter().any(|started| started == name) {
            return Ok(false);
        }
        state.started.push(name.to_owned());
        state.inputs.push(input.clone());
        Ok(true)
    }
}

impl ClusterView for World {
    async fn nodes(&self) -> Result<Vec<SeenNode>> {
        let listed = self.0.borrow().nodes.values().cloned().collect();
        self.looked();
        self.cluster(listed)
    }

    async fn volumes(&self) -> Result<Vec<SeenVolume>> {
        self.cluster(self.0.borrow().volumes.clone())
    }

    async fn claims(&self, _: &str) -> Result<Vec<SeenClaim>> {
        self.cluster(Vec::new())
    }

    async fn pods(&self, _: &str) -> Result<Vec<SeenPod>> {
        self.cluster(Vec::new())
    }

    async fn manifests(&self) -> Result<Manifests> {
        self.cluster(Manifests {
            record: "record".into(),
            objects: Some(Vec::new()),
            destroying_since: self.0.borrow().destroying_since.clone(),
        })
    }

    async fn node(&self, name: &str) -> Result<Option<SeenNode>> {
        let found = self.0.borrow().nodes.get(name).cloned();
        self.looked();
        self.cluster(found)
    }

    async fn apply(&self, _: &Value) -> Result<()> {
        self.cluster(())
    }
}

impl Nodes for World {
    async fn find(&self, _: &Subject, _: Duration) -> Result<Option<Node>> {
        self.cluster(None)
    }

    async fn change(&self, node: &Node, change: &NodeChange) -> Result<Changed> {
        let mut state = self.0.borrow_mut();
        let Some(seen) = state.nodes.get_mut(&node.name) else {
            return Ok(Changed::Gone);
        };
        if seen.node.resource_version != node.resource_version {
            return Ok(Changed::Conflict);
        }
        for annotation in change.annotations.keys() {
            seen.node.annotations.remove(*annotation);
        }
        Ok(Changed::Done)
    }
}

impl Volumes for World {
    async fn of_instance(
        &self,
        _: &InstanceId,
        _: Duration,
        _: &dyn Fn(&[Volume]) -> bool,
    ) -> Result<Vec<Volume>> {
        self.cluster(Vec::new())
    }

    async fn delete(&self, volume: &Volume) -> Result<Changed> {
        self.0.borrow_mut().deleted.push(volume.name.clone());
        self.cluster(Changed::Done)
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + self.0.borrow().now).expect("a time")
    }

    async fn sleep(&self, _: Duration) {}
}
