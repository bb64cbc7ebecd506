//! Looks at the world. What cannot be seen says why; the rest is judged all the same.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tidegate_domain::disks::Disk;
use tidegate_domain::drift::{
    ClusterView, Executions, ExecutionsView, Group, GroupsView, Rule, Rules, Seen, SeenNode, Snapshot,
    WorkersView, unattributed,
};
use tidegate_domain::error::Result;
use tidegate_domain::ports::{Clock, Instances};

use crate::{CheckDrift, ListedRule};

/// Questions to Step Functions at the same time.
const AT_ONCE: usize = 10;

impl<Groups, Ec2, Machines, Cluster, Master, C> CheckDrift<Groups, Ec2, Machines, Cluster, Master, C>
where
    Groups: GroupsView,
    Ec2: Instances,
    Machines: ExecutionsView,
    Cluster: ClusterView,
    Master: WorkersView,
    C: Clock,
{
    /// Everything that a check looks at. One listing at a time of the cluster, as each page is held in memory; the
    /// other neighbours meanwhile.
    pub(crate) async fn look(&self, rules: Option<&[ListedRule]>, since: Timestamp) -> Snapshot {
        let namespace = &self.scope.namespace;
        let ((groups, disks), workers, (nodes, claims, pods, volumes, manifests)) = tokio::join!(
            async {
                let groups = seen(self.groups.groups(&self.group_names).await);
                let disks = self.disks(groups.as_deref().unwrap_or_default()).await;
                (groups, disks)
            },
            async { seen(self.master.workers().await) },
            async {
                let nodes = seen(self.cluster.nodes().await);
                // Claims before pods: a claim is made after its pod.
                let claims = seen(self.cluster.claims(namespace).await);
                let pods = seen(self.cluster.pods(namespace).await);
                let volumes = seen(self.cluster.volumes().await);
                let manifests = seen(self.cluster.manifests().await);
                (nodes, claims, pods, volumes, manifests)
            }
        );
        let executions = seen(self.executions(nodes.as_deref().unwrap_or_default(), since).await);
        Snapshot {
            groups,
            disks,
            nodes,
            volumes,
            claims,
            pods,
            workers,
            executions,
            rules: self.rules(rules),
            manifests,
        }
    }

    /// The disks of each type. A type that cannot be asked for is left out, and its instances are not judged by it.
    async fn disks(&self, groups: &[Group]) -> BTreeMap<String, Vec<Disk>> {
        let types: BTreeSet<_> = groups
            .iter()
            .flat_map(|group| &group.members)
            .map(|member| member.instance_type.as_str())
            .collect();
        let mut disks = BTreeMap::new();
        for instance_type in types {
            if let Ok(found) = self.instances.local_disks(instance_type).await {
                disks.insert(instance_type.to_owned(), found);
            }
        }
        disks
    }

    async fn executions(&self, nodes: &[SeenNode], since: Timestamp) -> Result<Executions> {
        let mut executions = Executions {
            running: self.machines.running().await?,
            failed: self.machines.failed_since(since).await?,
        };
        for some in unattributed(&executions, nodes).chunks(AT_ONCE) {
            let asked = some.iter().map(|arn| self.machines.subjects(arn));
            for (arn, subjects) in some.iter().zip(futures::future::join_all(asked).await) {
                let subjects = subjects?;
                let running = executions.running.iter_mut();
                running
                    .filter(|running| running.arn == *arn)
                    .for_each(|running| running.subjects.clone_from(&subjects));
            }
        }
        Ok(executions)
    }

    fn rules(&self, listed: Option<&[ListedRule]>) -> Seen<Rules> {
        let listed = listed.ok_or("EventBridge did not list the rules: see the state ListRules")?;
        Ok(Rules {
            expected: self.rule_names.clone(),
            found: listed
                .iter()
                .map(|rule| Rule {
                    name: rule.name.clone(),
                    enabled: rule.state.starts_with("ENABLED"),
                })
                .collect(),
        })
    }
}

fn seen<T>(result: Result<T>) -> Seen<T> {
    result.map_err(|error| format!("{}: {}", error.name.as_str(), error.message))
}
