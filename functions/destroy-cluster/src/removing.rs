//! Takes away what is ours: hooks, then the objects in the cluster, each gone before the next goes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidegate_domain::bootstrap::{Objects, title};
use tidegate_domain::destroy::{
    GroupHooks, HeldVolume, Teardown, claims_of, foreign, held, next, release, waiting,
};
use tidegate_domain::drift::GroupsView;
use tidegate_domain::error::Result;
use tidegate_domain::node::{Node, NodeChange};
use tidegate_domain::ports::{Changed, Clock};

use crate::{BETWEEN_LOOKS, DestroyCluster, Neighbours, Session, Step};

impl<N: Neighbours> DestroyCluster<N> {
    /// Our hooks go off the groups: nobody would answer them any more. An instance that waits in one is let go; its cache
    /// is saved.
    pub(crate) async fn remove_hooks(&self, session: &mut Session) -> Result<()> {
        for group in self.groups.groups(&self.group_names).await? {
            for hook in &group.hooks {
                if ![&self.scope.join_hook, &self.scope.drain_hook].contains(&&hook.name) {
                    continue;
                }
                self.groups.delete_hook(&group.name, &hook.name).await?;
                session
                    .facts
                    .changed
                    .push(format!("hook {} is off group {}", hook.name, group.name));
            }
        }
        Ok(())
    }

    /// Our objects go, as far as this call comes.
    pub(crate) async fn remove_objects(
        &self,
        session: &mut Session,
        cluster: &N::Cluster,
        mut ours: Vec<Value>,
    ) -> Result<Step> {
        loop {
            let batch: Vec<_> = next(&ours).into_iter().cloned().collect();
            let Some(first) = batch.first() else {
                return Ok(Step::Done);
            };
            // What runs by the rest has to be gone before it, and so have the volumes.
            if !runs(first) {
                match self.remove_volumes(session, cluster).await? {
                    Step::Done => {}
                    other => return Ok(other),
                }
            }
            if first["kind"] == "Namespace" {
                let objects = cluster.in_namespace(&self.scope.namespace).await?;
                let stay = foreign(&objects, &session.recorded);
                if !stay.is_empty() {
                    session.facts.foreign.extend(stay);
                    ours.retain(|object| object["kind"] != "Namespace");
                    continue;
                }
            }
            for object in &batch {
                if object["kind"] == "StatefulSet" {
                    self.remove_claims(session, cluster, object).await?;
                }
                self.remove(session, cluster, object).await?;
            }
            if let Some(left) = self.await_gone(session, cluster, &batch).await? {
                return Ok(Step::NotYet(format!("{left} is being deleted")));
            }
            let gone: Vec<_> = batch.iter().map(title).collect();
            ours.retain(|object| !gone.contains(&title(object)));
            if self.clock.now() >= session.ends {
                return Ok(Step::Onward);
            }
        }
    }

    /// Where the cluster stays, its nodes do, and are as if we had never been there.
    pub(crate) async fn release_nodes(&self, session: &mut Session, cluster: &N::Cluster) -> Result<Step> {
        for (node, change) in self.nodes_to_release(cluster).await? {
            if cluster.change_node(&node, &change).await? == Changed::Conflict {
                return Ok(Step::NotYet(format!("node {} has changed meanwhile", node.name)));
            }
            session
                .facts
                .changed
                .push(format!("nothing of ours is on node {} any more", node.name));
            if self.clock.now() >= session.ends {
                return Ok(Step::Onward);
            }
        }
        Ok(Step::Done)
    }

    /// The nodes on which something of ours is, with what takes it off.
    pub(crate) async fn nodes_to_release(&self, cluster: &N::Cluster) -> Result<Vec<(Node, NodeChange)>> {
        let groups = self.groups.groups(&self.group_names).await?;
        let members = groups.iter().flat_map(|group| &group.members);
        let members: BTreeSet<_> = members.map(|member| member.instance.as_str()).collect();
        let nodes = cluster.nodes().await?.into_iter();
        Ok(nodes
            .filter_map(|seen| Some((release(&seen, &members)?, seen.node)))
            .map(|(change, node)| (node, change))
            .collect())
    }

    async fn remove(&self, session: &mut Session, cluster: &N::Cluster, object: &Value) -> Result<()> {
        if object["metadata"]["deletionTimestamp"].is_null() {
            cluster.remove(object).await?;
            session
                .facts
                .changed
                .push(format!("{} is deleted", title(object)));
        }
        Ok(())
    }

    /// Waits for a while until these are gone; answers the first that is not.
    async fn await_gone(
        &self,
        session: &Session,
        cluster: &N::Cluster,
        batch: &[Value],
    ) -> Result<Option<String>> {
        for object in batch {
            while let Some(live) = Objects::get(cluster, object).await? {
                // One of that name that somebody has made since is another, and not ours.
                if live["metadata"]["uid"] != object["metadata"]["uid"] {
                    break;
                }
                if self.clock.now() >= session.ends {
                    return Ok(Some(title(object)));
                }
                self.clock.sleep(BETWEEN_LOOKS).await;
            }
        }
        Ok(None)
    }

    /// The claims of a set go before it does: afterwards nothing tells whose they were. Each is there until its pod is
    /// gone.
    async fn remove_claims(&self, session: &mut Session, cluster: &N::Cluster, set: &Value) -> Result<()> {
        let Some(set) = Objects::get(cluster, set).await? else {
            return Ok(());
        };
        let namespace = set["metadata"]["namespace"].as_str().unwrap_or_default();
        let objects = cluster.in_namespace(namespace).await?;
        for claim in claims_of(&set, &objects) {
            self.remove(session, cluster, claim).await?;
        }
        Ok(())
    }

    /// Volumes that nobody else takes away are deleted, the others waited for.
    async fn remove_volumes(&self, session: &mut Session, cluster: &N::Cluster) -> Result<Step> {
        let namespace = &self.scope.namespace;
        loop {
            let mut waits = waiting(&cluster.in_namespace(namespace).await?);
            let found = held(&cluster.held_volumes().await?, namespace);
            for volume in found.foreign {
                if !session.facts.foreign.contains(&volume) {
                    session.facts.foreign.push(volume);
                }
            }
            if !found.kept.is_empty() {
                session.facts.left.clone_from(&found.kept);
                return Ok(Step::Stop(format!(
                    "{}: set it to Delete, or delete the volume",
                    found.kept.join("; ")
                )));
            }
            for volume in &found.delete {
                self.remove(session, cluster, &object_of(volume)).await?;
                waits.push(format!("PersistentVolume {}", volume.name));
            }
            waits.extend(found.awaited);
            let Some(first) = waits.first() else {
                return Ok(Step::Done);
            };
            if self.clock.now() >= session.ends {
                return Ok(Step::NotYet(format!(
                    "{} claims and volumes are going, such as {first}",
                    waits.len()
                )));
            }
            self.clock.sleep(BETWEEN_LOOKS).await;
        }
    }
}

/// Whether pods of it run.
pub(crate) fn runs(object: &Value) -> bool {
    matches!(
        object["kind"].as_str(),
        Some("DaemonSet" | "Deployment" | "StatefulSet")
    )
}

fn object_of(volume: &HeldVolume) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": { "name": volume.name, "uid": volume.uid },
    })
}
