//! What would go, and what would be lost with it; nothing is changed.

use serde::Serialize;
use serde_json::Value;
use tidegate_domain::bootstrap::{Objects, title};
use tidegate_domain::cache::Amount;
use tidegate_domain::destroy::{Caches, Round, Teardown, claims_of, foreign, held, next};
use tidegate_domain::drift::{Group, GroupsView};
use tidegate_domain::error::Result;
use tidegate_domain::outcome::DestroyOutcome;

use crate::looking::Looked;
use crate::quiet::{Found, replicas};
use crate::{DestroyCluster, Neighbours, Session};

/// So many steps are told: an event holds 256 KiB, and the outcome has other parts.
const MOST_TOLD: usize = 200;

/// What a plan tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Foresight {
    /// Caches in service.
    pub caches: usize,
    /// Would be written to the under store.
    pub persisted: Amount,
    /// Could not be written as things are.
    pub waiting: Amount,
    /// Would be lost.
    pub lost: Amount,
    /// Those that would be lost, or could not be written as things are; the largest of them.
    pub lost_files: Vec<String>,
    /// So many more.
    pub more_lost_files: u64,
    /// Were broken before: some of their blocks are on no worker and in no under store.
    pub broken: Amount,
    /// The largest of those.
    pub broken_files: Vec<String>,
    /// So many more.
    pub more_broken_files: u64,
    /// The groups' instances.
    pub instances: Vec<String>,
    /// What stands in the way.
    pub hinders: Vec<String>,
    /// What would be done, in that order.
    pub would: Vec<String>,
    /// So many more steps.
    pub more: usize,
}

impl<N: Neighbours> DestroyCluster<N> {
    pub(crate) async fn plan(&self, session: &mut Session) -> Result<(DestroyOutcome, String)> {
        let done = if session.request.plan {
            DestroyOutcome::Planned
        } else {
            DestroyOutcome::Emptied
        };
        let name = &self.cluster_name;
        if let (Some(stack), Some(seen)) = (&self.stack_name, &session.stack) {
            let status = &seen.status;
            if seen.going() {
                let reason = format!("the cluster is emptied, and its stack {stack} is {status}");
                return Ok((done, reason));
            }
            if seen.taken() {
                let reason = format!("stack {stack} is {status}, which did not begin here: wait for its end");
                return Ok((DestroyOutcome::Incomplete, reason));
            }
        }
        let cluster = match self.cluster().await? {
            Ok(Some(cluster)) => cluster,
            Ok(None) => return Ok((done, self.no_cluster())),
            Err(why) => return Ok((DestroyOutcome::Waiting, why)),
        };
        if session
            .stack
            .as_ref()
            .is_some_and(tidegate_domain::destroy::StackSeen::gone)
        {
            let stack = self.stack_name.as_deref().unwrap_or_default();
            let reason = format!(
                "cluster {name} is there and its stack {stack} is not: set the parameter ClusterStackName right, or empty \
                 it for a cluster that stays"
            );
            return Ok((DestroyOutcome::Incomplete, reason));
        }
        let found = self.find(session, &cluster).await?;
        let (caches, unseen) = match self.find_caches(session, &cluster).await? {
            Ok(caches) => (caches, Vec::new()),
            Err(unseen) => (Caches::default(), unseen),
        };
        let round = match self.look(session, &caches.live, caches.settled(), false).await? {
            Looked::Whole(round) => round,
            Looked::Part => {
                return Ok((DestroyOutcome::Waiting, "files are being looked at".to_owned()));
            }
            Looked::Silent(reason) => return Ok((DestroyOutcome::Waiting, reason)),
        };
        let mut foresight = foresee(&caches, &round);
        foresight.hinders.extend(unseen);
        self.steps(session, &cluster, &found, &mut foresight).await?;
        let lost = foresight.lost;
        let lost_or_not = format!(
            "{} files ({} bytes) would be written to the under store, {} files ({} bytes) would be lost",
            foresight.persisted.files, foresight.persisted.bytes, lost.files, lost.bytes
        );
        let named = foresight.lost_files.first().cloned().unwrap_or_default();
        session.facts.plan = Some(foresight);
        Ok(if session.request.plan {
            (DestroyOutcome::Planned, lost_or_not)
        } else if lost.files > 0 && !session.request.accept_data_loss {
            let reason = format!(
                "{lost_or_not}, such as {named}: copy them away, delete them, or accept their loss with \
                 \"acceptDataLoss\": true. Nothing was changed"
            );
            (DestroyOutcome::Refused, reason)
        } else {
            (DestroyOutcome::Foreseen, lost_or_not)
        })
    }

    /// What would be done, step by step.
    async fn steps(
        &self,
        session: &Session,
        cluster: &N::Cluster,
        found: &Found,
        foresight: &mut Foresight,
    ) -> Result<()> {
        let mut would = Vec::new();
        for autoscaler in &found.autoscalers {
            if replicas(autoscaler) > 0 {
                would.push(format!("stop {}", title(autoscaler)));
            }
        }
        if foresight.caches > 0 {
            would.push(format!(
                "write {} files ({} bytes) to the under store",
                foresight.persisted.files, foresight.persisted.bytes
            ));
            would.push(format!("take {} workers out of service", foresight.caches));
        }
        let groups = self.groups.groups(&self.group_names).await?;
        for group in &groups {
            let ours = [&self.scope.join_hook, &self.scope.drain_hook];
            let hooks = group.hooks.iter().filter(|hook| ours.contains(&&hook.name));
            would.extend(hooks.map(|hook| format!("take hook {} off group {}", hook.name, group.name)));
        }
        let namespace = &self.scope.namespace;
        let in_namespace = cluster.in_namespace(namespace).await?;
        let stay = foreign(&in_namespace, &session.recorded);
        let mut left = found.ours.clone();
        while !left.is_empty() {
            let batch: Vec<_> = next(&left).into_iter().cloned().collect();
            for object in &batch {
                if object["kind"] == "StatefulSet"
                    && let Some(set) = Objects::get(cluster, object).await?
                {
                    let claims = claims_of(&set, &in_namespace);
                    would.extend(claims.into_iter().map(|claim| format!("delete {}", title(claim))));
                }
            }
            let titles: Vec<_> = batch.iter().map(title).collect();
            // The namespace stays with what others have in it.
            let kept = |object: &&Value| object["kind"] == "Namespace" && !stay.is_empty();
            would.extend(
                batch
                    .iter()
                    .filter(|object| !kept(object))
                    .map(|object| format!("delete {}", title(object))),
            );
            left.retain(|object| !titles.contains(&title(object)));
        }
        let volumes = cluster.held_volumes().await?;
        would.extend(
            held(&volumes, namespace)
                .delete
                .iter()
                .map(|volume| format!("delete PersistentVolume {}", volume.name)),
        );
        foresight.instances = instances(&groups);
        if let Some(stack) = &self.stack_name {
            would.push(format!("delete stack {stack} with cluster {}", self.cluster_name));
            // The driver that would delete them goes with the cluster.
            let theirs = volumes.iter().filter(|volume| {
                volume.handle.is_some() && volume.claim.as_ref().is_none_or(|(of, _)| of != namespace)
            });
            foresight.hinders.extend(theirs.map(|volume| {
                    let (name, id) = (&volume.name, volume.handle.as_deref().unwrap_or_default());
                    format!("PersistentVolume {name} ({id}) is somebody else's, and would stay and cost: delete its claim first")
                }));
            foresight.hinders.extend(
                stay.iter()
                    .map(|object| format!("{object} is somebody else's, and goes with the cluster")),
            );
        } else {
            let marked = self.nodes_to_release(cluster).await?;
            if !marked.is_empty() {
                would.push(format!(
                    "take our labels, annotations and startup taint off {} nodes",
                    marked.len()
                ));
            }
            would.push(format!(
                "leave cluster {}, which has no stack of ours",
                self.cluster_name
            ));
            foresight.hinders.extend(
                stay.iter()
                    .map(|object| format!("{object} is somebody else's, and stays")),
            );
        }
        foresight.more = would.len().saturating_sub(MOST_TOLD);
        would.truncate(MOST_TOLD);
        foresight.hinders.truncate(MOST_TOLD);
        foresight.instances.truncate(MOST_TOLD);
        foresight.would = would;
        Ok(())
    }
}

fn foresee(caches: &Caches, round: &Round) -> Foresight {
    let mut losses = round.never.clone();
    losses.add(&round.not_yet);
    let amount = |losses: &tidegate_domain::cache::Losses| Amount {
        files: losses.files,
        bytes: losses.bytes,
    };
    let mut hinders = caches.awaited.clone();
    hinders.extend(round.unseen.iter().cloned());
    if round.not_yet.files > 0 {
        hinders.push(format!("{} are waited for", round.not_yet.told()));
    }
    if round.never.files > 0 {
        hinders.push(format!("{} can never be saved", round.never.told()));
    }
    Foresight {
        caches: caches.live.len(),
        persisted: round.persist,
        waiting: amount(&round.not_yet),
        lost: amount(&round.never),
        lost_files: losses.lines(),
        more_lost_files: losses.more(),
        broken: amount(&round.broken),
        broken_files: round.broken.lines(),
        more_broken_files: round.broken.more(),
        hinders,
        ..Foresight::default()
    }
}

fn instances(groups: &[Group]) -> Vec<String> {
    let members = groups.iter().flat_map(|group| &group.members);
    members.map(|member| member.instance.clone()).collect()
}
