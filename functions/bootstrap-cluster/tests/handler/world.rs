//! Everything around the function, small and in memory.

#![allow(clippy::expect_used, clippy::panic, reason = "part of tests")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bootstrap_cluster::Neighbours;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tidegate_domain::api_server::ApiServer;
use tidegate_domain::bootstrap::{
    DaemonSetRow, GroupTypes, Inventory, KnownCluster, KnownClusters, LaunchTemplates, MasterRole,
    MasterRoles, NodeGroupRow, NodeRow, Objects, Rows, TypeSource, UsageRow, VolumeRow, title,
};
use tidegate_domain::cache::Worker;
use tidegate_domain::disks::Disk;
use tidegate_domain::drift::{
    ClusterView, Group, GroupsView, Manifests, SeenClaim, SeenNode, SeenPod, SeenVolume, Workers, WorkersView,
};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::ports::{Changed, Clock, Ec2Instance, GroupHook, Instances, MasterPlace, MasterPlaces};
use tidegate_domain::subject::InstanceId;

/// What the world is like.
pub(crate) struct State {
    pub(crate) now: Timestamp,
    pub(crate) status: &'static str,
    pub(crate) instance_type: &'static str,
    pub(crate) group_exists: bool,
    pub(crate) one_array: bool,
    pub(crate) alluxio: bool,
    /// By title; what is applied lands here.
    pub(crate) objects: BTreeMap<String, Value>,
    /// Titles of objects whose pods never get ready.
    pub(crate) stuck: Vec<&'static str>,
    pub(crate) applied: Vec<String>,
    pub(crate) hooks: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct World(pub(crate) Rc<RefCell<State>>);

impl Neighbours for World {
    type Eks = Self;
    type Cluster = Self;
    type Master = Self;
    type Groups = Self;
    type Ec2 = Self;
    type Clock = Self;
}

impl Default for World {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(State {
            now: began(),
            status: "ACTIVE",
            instance_type: "m5d.4xlarge",
            group_exists: true,
            one_array: false,
            alluxio: true,
            // The add-on of the cluster, which makes the volumes of the class standard.
            objects: BTreeMap::from([("CSIDriver ebs.csi.aws.com".to_owned(), json!({}))]),
            stuck: Vec::new(),
            applied: Vec::new(),
            hooks: Vec::new(),
        })))
    }
}

pub(crate) const MASTER: &str = "10.0.0.9:19998";

pub(crate) fn began() -> Timestamp {
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
            one_array: self.0.borrow().one_array,
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

impl MasterRoles for World {
    async fn master_roles(&self) -> Result<BTreeMap<String, MasterRole>> {
        Ok(BTreeMap::from([(MASTER.to_owned(), MasterRole::Primary)]))
    }
}

impl MasterPlaces for World {
    async fn master_places(&self, namespace: &str) -> Result<Vec<MasterPlace>> {
        assert_eq!(namespace, "alluxio");
        Ok(vec![MasterPlace {
            pod: "alluxio-master-0".into(),
            node: "ip-10-0-0-9".into(),
            address: MASTER.into(),
            ready: true,
        }])
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
        let ready = u8::from(!stuck);
        live["status"] =
            json!({"desiredNumberScheduled": 1, "numberReady": ready, "readyReplicas": 3 * ready});
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
