//! Sets a cluster up: applies its manifests step by step, each verified before the next; sets hooks and retention of the
//! groups; says which instances have to join; and shows in the end what there is.
//!
//! What is there decides how far a call goes; `progress` only saves looking again at what was verified before.

mod steps;
mod viewing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_domain::api_server::ApiServer;
use tidegate_domain::bootstrap::{
    GroupTypes, Inventory, KnownCluster, KnownClusters, LaunchTemplates, MasterRoles, Objects, Overview,
    Request, TypeSource, unjoined,
};
use tidegate_domain::disks::{Disk, DiskLayout, as_set_up};
use tidegate_domain::drift::{ClusterView, Group, GroupsView, Repair, Scope, WorkersView, of_groups};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::names;
use tidegate_domain::outcome::{Answer, BootstrapOutcome};
use tidegate_domain::ports::{Clock, Instances, MasterPlaces};
use tidegate_lambda::{Call, Reply, Serve};
use tidegate_manifests::{AddOn, Layout, Settings};

/// No step is begun after so long: a function has 30 s, and the next call goes on.
const LAST_BEGINNING: SignedDuration = SignedDuration::from_secs(15);
/// Seconds until a cluster that is being made is looked at again: it takes ten minutes.
const CLUSTER_AGAIN_SECONDS: u32 = 20;
/// Seconds until what takes its time in the cluster is looked at again.
const STEP_AGAIN_SECONDS: u32 = 5;
/// Instances that a reason names.
const MOST_NAMED: usize = 10;

/// Whom the function talks to.
pub trait Neighbours {
    /// EKS.
    type Eks: KnownClusters;
    /// The cluster's API server.
    type Cluster: Objects + ClusterView + Inventory + MasterPlaces;
    /// The Alluxio masters.
    type Master: WorkersView + MasterRoles;
    /// Auto Scaling.
    type Groups: GroupsView + GroupTypes;
    /// EC2.
    type Ec2: Instances + LaunchTemplates;
    /// Time.
    type Clock: Clock;
}

/// Connects to the API server that EKS names, and to the Alluxio masters, which may be looked up there.
pub type Connect<Cluster, Master> = Box<dyn Fn(&ApiServer) -> Result<(Cluster, Master)>>;

/// The function.
pub struct BootstrapCluster<N: Neighbours> {
    /// EKS.
    pub eks: N::Eks,
    /// The way to the cluster.
    pub connect: Connect<N::Cluster, N::Master>,
    /// Auto Scaling.
    pub groups: N::Groups,
    /// EC2.
    pub instances: N::Ec2,
    /// Time.
    pub clock: N::Clock,
    /// What is ours.
    pub scope: Scope,
    /// What the manifests are rendered with; the disk layouts are those of the groups' instance types.
    pub manifests: Settings,
    /// Memory for the cache of each node without disks, in MiB; 0 where such nodes get none.
    pub memory_tier_mib: u32,
    /// What the cluster gets beside Alluxio.
    pub add_ons: AddOns,
    /// The groups that are looked after.
    pub group_names: Vec<String>,
    /// The cluster's name.
    pub cluster_name: String,
    /// How long a call watches for what it waits for.
    pub watch_seconds: u32,
    /// How long setting up may take.
    pub limit_seconds: u32,
}

/// What the cluster gets beside Alluxio.
#[derive(Clone, Debug, Default)]
pub struct AddOns {
    /// [`AddOn::METRICS_SERVER`], [`AddOn::CLUSTER_AUTOSCALER`], or `none`.
    pub names: Vec<String>,
    /// Image of metrics-server.
    pub metrics_server_image: String,
    /// Image of Cluster Autoscaler; none for the one of the cluster's minor.
    pub cluster_autoscaler_image: Option<String>,
    /// Where the cluster is.
    pub region: String,
}

/// The call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BootstrapCall {
    /// The execution's input.
    pub input: Value,
    /// When the execution began.
    pub started_at: Timestamp,
    /// What the last call left.
    #[serde(default)]
    pub progress: Progress,
    /// Whether instances in service have been told to join: they are waited for then.
    #[serde(default)]
    pub joining: bool,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The steps that are verified.
    pub verified: Vec<String>,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// What the next call is handed.
    pub progress: Progress,
    /// The disk layouts of the groups' instance types, and `memory` where nodes without disks get a cache.
    pub disk_layouts: Vec<String>,
    /// What was changed on groups in this call.
    pub changed: Vec<String>,
    /// Instances in service that have not joined.
    pub instances_to_join: Vec<String>,
    /// What would be done, in a plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would: Vec<String>,
    /// Everything that there is, in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overview: Option<Overview>,
    /// The same as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tables: String,
}

/// What was looked at in AWS.
pub(crate) struct Seen {
    pub(crate) groups: Vec<Group>,
    /// The local disks of each instance type that the groups have, or would launch.
    pub(crate) disks: BTreeMap<String, Vec<Disk>>,
}

pub(crate) type Answered = Answer<BootstrapOutcome, Facts>;

impl<N: Neighbours> BootstrapCluster<N> {
    async fn answer(&self, call: &BootstrapCall) -> Result<Answered> {
        let began = self.clock.now();
        let request = Request::read(&call.input)?;
        let mut facts = Facts {
            progress: call.progress.clone(),
            ..Facts::default()
        };
        let (version, api_server) = match self.eks.cluster().await? {
            Some(KnownCluster {
                status,
                api_server: Some(api_server),
                version,
            }) if matches!(status.as_str(), "ACTIVE" | "UPDATING") => (version, api_server),
            other => return Ok(self.no_cluster_yet(call, other, facts)),
        };
        let (cluster, master) = (self.connect)(&api_server)?;
        let groups = self.groups.groups(&self.group_names).await?;
        let (disks, layouts) = self.disks(&groups).await?;
        let seen = Seen { groups, disks };
        facts.disk_layouts = layouts.into_iter().collect();
        if self.memory_tier_mib > 0 {
            facts.disk_layouts.push(names::MEMORY_LAYOUT.into());
        }
        if facts.disk_layouts.is_empty() {
            let reason = format!(
                "none of the groups {} has an instance type with local NVMe disks, and the parameter MemoryTierMib asks \
                 for no cache in memory",
                self.group_names.join(", ")
            );
            return Ok(Answer::new(BootstrapOutcome::Incomplete, reason, facts));
        }
        let steps = self.steps(&facts.disk_layouts, &version)?;
        if request.plan {
            return self.plan(&cluster, &steps, &seen, facts).await;
        }
        for step in &steps {
            if facts
                .progress
                .verified
                .iter()
                .any(|verified| verified == step.name)
            {
                continue;
            }
            if self.clock.now().duration_since(began) > LAST_BEGINNING {
                return Ok(self.not_yet(call, format!("step {} is next", step.name), 1, facts));
            }
            if let Some(waits) = self.take(&cluster, step).await? {
                let reason = format!("step {}: {waits}", step.name);
                return Ok(self.not_yet(call, reason, STEP_AGAIN_SECONDS, facts));
            }
            facts.progress.verified.push(step.name.to_owned());
        }
        self.set_groups_right(&seen.groups, &mut facts).await?;
        self.joined(call, (&cluster, &master), version, &seen, facts)
            .await
    }

    /// Why there is nothing to connect to.
    fn no_cluster_yet(&self, call: &BootstrapCall, found: Option<KnownCluster>, facts: Facts) -> Answered {
        let name = &self.cluster_name;
        match found {
            None => {
                let reason = format!("there is no cluster {name}");
                Answer::new(BootstrapOutcome::Incomplete, reason, facts)
            }
            Some(known) if matches!(known.status.as_str(), "FAILED" | "DELETING") => {
                let reason = format!("cluster {name} is {}", known.status);
                Answer::new(BootstrapOutcome::Incomplete, reason, facts)
            }
            Some(known) => {
                let reason = format!("cluster {name} is {}", known.status);
                self.not_yet(call, reason, CLUSTER_AGAIN_SECONDS, facts)
            }
        }
    }

    /// Whether what is in service has joined; in the end, what there is.
    async fn joined(
        &self,
        call: &BootstrapCall,
        (cluster, master): (&N::Cluster, &N::Master),
        version: String,
        seen: &Seen,
        mut facts: Facts,
    ) -> Result<Answered> {
        let missing: Vec<_> = seen
            .groups
            .iter()
            .filter(|group| !group.exists)
            .map(|group| group.name.as_str())
            .collect();
        if !missing.is_empty() {
            let reason = format!(
                "everything is applied, and of the groups that are looked after {} do not exist: make them, or take \
                 them off the parameter AutoScalingGroupNames",
                missing.join(", ")
            );
            return Ok(Answer::new(BootstrapOutcome::Incomplete, reason, facts));
        }
        // A master that is not there yet holds up every join.
        let workers = match master.workers().await {
            Ok(workers) => workers,
            Err(error) if error.name == ErrorName::AlluxioUnavailable => {
                return Ok(self.not_yet(call, error.message, STEP_AGAIN_SECONDS, facts));
            }
            Err(error) => return Err(error),
        };
        let nodes = ClusterView::nodes(cluster).await?;
        let late = unjoined(&seen.groups, &seen.disks, &nodes);
        facts.instances_to_join = late.iter().map(|unjoined| unjoined.instance.clone()).collect();
        if !call.joining {
            let reason = format!(
                "everything is applied and verified; {} instances in service have to join",
                late.len()
            );
            return Ok(Answer::new(BootstrapOutcome::Applied, reason, facts));
        }
        if !late.is_empty() {
            let named: Vec<_> = late
                .iter()
                .take(MOST_NAMED)
                .map(|unjoined| format!("{} {}", unjoined.instance, unjoined.why))
                .collect();
            let reason = format!("{} instances have not joined: {}", late.len(), named.join(", "));
            return Ok(self.not_yet(call, reason, CLUSTER_AGAIN_SECONDS, facts));
        }
        let overview = self.overview((cluster, master), version, &workers).await?;
        let reason = format!(
            "cluster {} is set up: {} nodes, {} Alluxio workers",
            self.cluster_name,
            nodes.len(),
            workers.all.len()
        );
        facts.tables = overview.tables();
        facts.overview = Some(overview);
        Ok(Answer::new(BootstrapOutcome::Ready, reason, facts))
    }

    /// Waiting, or incomplete where the time for all of it is over.
    fn not_yet(&self, call: &BootstrapCall, reason: String, again_seconds: u32, facts: Facts) -> Answered {
        let limit = SignedDuration::from_secs(self.limit_seconds.into());
        if self.clock.now().duration_since(call.started_at) >= limit {
            let reason = format!("not set up within {} s: {reason}", self.limit_seconds);
            return Answer::new(BootstrapOutcome::Incomplete, reason, facts);
        }
        Answer::again(BootstrapOutcome::Waiting, reason, again_seconds, facts)
    }

    /// The local disks of each instance type that the groups have, or would launch, and the layouts that come of it.
    async fn disks(&self, groups: &[Group]) -> Result<(BTreeMap<String, Vec<Disk>>, BTreeSet<String>)> {
        let mut launched = self.groups.launched_types(&self.group_names).await?;
        let (mut disks, mut layouts) = (BTreeMap::new(), BTreeSet::new());
        for group in groups {
            let mut types: BTreeSet<_> = group
                .members
                .iter()
                .map(|member| member.instance_type.clone())
                .collect();
            for source in launched.remove(&group.name).unwrap_or_default() {
                match source {
                    TypeSource::Type(instance_type) => types.extend([instance_type]),
                    TypeSource::LaunchTemplate { id, version } => {
                        types.extend(self.instances.instance_type(&id, &version).await?);
                    }
                }
            }
            for instance_type in types {
                let found = match disks.get(&instance_type) {
                    Some(found) => Vec::clone(found),
                    None => self.instances.local_disks(&instance_type).await?,
                };
                let set_up = as_set_up(found.clone(), group.one_array);
                if !set_up.is_empty() {
                    layouts.insert(DiskLayout::of(&set_up).to_string());
                }
                disks.insert(instance_type, found);
            }
        }
        Ok((disks, layouts))
    }

    fn steps(&self, layouts: &[String], version: &str) -> Result<Vec<tidegate_manifests::Step>> {
        let invalid =
            |error: tidegate_manifests::Error| Error::new(ErrorName::InvalidInput, error.to_string());
        let mut settings = self.manifests.clone();
        if settings.masters.is_empty() && settings.master_set.is_none() {
            let what = "neither the parameter AlluxioMasters names the Alluxio masters that the workers are to find, nor does \
                        MasterReplicas say how many are to run in the cluster";
            return Err(Error::new(ErrorName::InvalidInput, what));
        }
        let layout = |name: &String| match name.as_str() {
            names::MEMORY_LAYOUT => Ok(Layout::memory(self.memory_tier_mib)),
            disks => Layout::parse(disks),
        };
        settings.layouts = layouts
            .iter()
            .map(layout)
            .collect::<std::result::Result<_, _>>()
            .map_err(invalid)?;
        settings.add_ons = self.add_ons(version)?;
        tidegate_manifests::steps(&settings).map_err(invalid)
    }

    fn add_ons(&self, version: &str) -> Result<Vec<AddOn>> {
        let wanted = self.add_ons.names.iter().filter(|name| *name != "none");
        wanted
            .map(|name| match name.as_str() {
                AddOn::METRICS_SERVER => Ok(AddOn::MetricsServer {
                    image: self.add_ons.metrics_server_image.clone(),
                }),
                AddOn::CLUSTER_AUTOSCALER => {
                    let of_the_minor = || {
                        AddOn::cluster_autoscaler_image(version)
                            .map_err(|error| Error::new(ErrorName::InvalidInput, error.to_string()))
                    };
                    let image = self.add_ons.cluster_autoscaler_image.clone();
                    Ok(AddOn::ClusterAutoscaler {
                        image: image.map_or_else(of_the_minor, Ok)?,
                        cluster_name: self.cluster_name.clone(),
                        region: self.add_ons.region.clone(),
                    })
                }
                other => Err(Error::invalid(
                    "ADD_ONS",
                    format_args!("{other:?}"),
                    "metrics-server, cluster-autoscaler or none",
                )),
            })
            .collect()
    }

    /// Hooks and retention, as the drift check would set them right, but at once.
    async fn set_groups_right(&self, groups: &[Group], facts: &mut Facts) -> Result<()> {
        for finding in of_groups(groups, &self.scope) {
            match &finding.repair {
                Repair::PutHook { group, hook } => self.groups.put_hook(group, hook).await?,
                Repair::Retain(group) => self.groups.retain(group).await?,
                _ => continue,
            }
            facts.changed.push(finding.seen);
        }
        Ok(())
    }
}

impl<N: Neighbours> Serve for BootstrapCluster<N> {
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let call: BootstrapCall = Call::read(&payload)?;
        let answer = self.answer(&call).await?;
        Ok(Reply::of(&answer)?.of_cluster(&self.cluster_name))
    }
}

/// How often what was applied is looked at while a call watches it.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
