//! What would work against a destroy is quiet before it begins: the drift check, Cluster Autoscaler, joins and drains.

use serde_json::{Value, json};
use tidegate_domain::bootstrap::{Objects, title};
use tidegate_domain::destroy::{
    OwnExecutions, Teardown, destroying_since, is_autoscaler, is_ours, losses, mark, recorded,
};
use tidegate_domain::error::Result;
use tidegate_domain::names;
use tidegate_domain::ports::Clock;

use crate::{DestroyCluster, Neighbours, Session};

/// Namespaces that no cluster is without.
const OF_KUBERNETES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// What there is of ours in the cluster.
pub(crate) struct Found {
    /// The record of the manifests.
    pub(crate) record: Option<Value>,
    /// Our objects.
    pub(crate) ours: Vec<Value>,
    /// Cluster Autoscalers, whoever installed them, as they are.
    pub(crate) autoscalers: Vec<Value>,
}

impl<N: Neighbours> DestroyCluster<N> {
    /// Finds what is ours.
    pub(crate) async fn find(&self, session: &mut Session, cluster: &N::Cluster) -> Result<Found> {
        let record = Objects::get(cluster, &record()).await?;
        if let Some(record) = &record {
            let (lost, unseen) = losses(record);
            if lost.files > session.progress.lost.files {
                session.progress.lost = lost;
            }
            if session.progress.unseen.is_empty() {
                session.progress.unseen = unseen;
            }
        }
        session.recorded = recorded(record.as_ref());
        let managed = cluster.managed().await?;
        let mut autoscalers = Vec::new();
        for object in managed.iter().filter(|object| is_autoscaler(object)) {
            autoscalers.extend(Objects::get(cluster, object).await?);
        }
        let of_kubernetes = |object: &Value| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            object["kind"] == "Namespace" && OF_KUBERNETES.contains(&name)
        };
        let ours: Vec<_> = managed
            .into_iter()
            .filter(|object| is_ours(object, &session.recorded) && !of_kubernetes(object))
            .collect();
        session.masters_go = ours.iter().any(|object| {
            object["kind"] == "StatefulSet" && object["metadata"]["labels"]["role"] == "alluxio-master"
        });
        Ok(Found {
            record,
            ours,
            autoscalers,
        })
    }

    /// Our objects, as soon as nothing works against their removal; else what is waited for.
    pub(crate) async fn quiet(
        &self,
        session: &mut Session,
        cluster: &N::Cluster,
    ) -> Result<std::result::Result<Vec<Value>, String>> {
        let found = self.find(session, cluster).await?;
        let marked = found.record.as_ref().and_then(destroying_since).is_some();
        // At the end the record is gone with its mark, and the namespace may stay for what others have in it.
        let at_the_end =
            found.record.is_none() && found.ours.iter().all(|object| object["kind"] == "Namespace");
        if !marked && !at_the_end {
            Objects::apply(cluster, &mark(found.record.as_ref(), self.clock.now())).await?;
            session
                .facts
                .changed
                .push("the drift check sets nothing right any more".to_owned());
        }
        for autoscaler in &found.autoscalers {
            self.stop(session, cluster, autoscaler).await?;
        }
        // One that was under way might set right what is taken away, or have a worker start.
        let running = self.executions.running().await?;
        if let Some(first) = running.first() {
            return Ok(Err(format!(
                "{} other executions run, such as {first}",
                running.len()
            )));
        }
        Ok(Ok(found.ours))
    }

    async fn stop(&self, session: &mut Session, cluster: &N::Cluster, autoscaler: &Value) -> Result<()> {
        let replicas = replicas(autoscaler);
        if replicas == 0 {
            return Ok(());
        }
        let patch = json!({
            "metadata": { "annotations": { names::REPLICAS_ANNOTATION: replicas.to_string() } },
            "spec": { "replicas": 0 },
        });
        cluster.merge(autoscaler, &patch).await?;
        session
            .facts
            .changed
            .push(format!("{} is stopped", title(autoscaler)));
        Ok(())
    }

    /// Where the cluster stays, somebody else's Cluster Autoscaler goes on.
    pub(crate) async fn wake_autoscalers(&self, session: &mut Session, cluster: &N::Cluster) -> Result<()> {
        for autoscaler in self.find(session, cluster).await?.autoscalers {
            let before = &autoscaler["metadata"]["annotations"][names::REPLICAS_ANNOTATION];
            let Some(before) = before.as_str().and_then(|text| text.parse::<u32>().ok()) else {
                continue;
            };
            let patch = json!({
                "metadata": { "annotations": { names::REPLICAS_ANNOTATION: null } },
                "spec": { "replicas": before },
            });
            cluster.merge(&autoscaler, &patch).await?;
            session
                .facts
                .changed
                .push(format!("{} goes on", title(&autoscaler)));
        }
        Ok(())
    }
}

/// The record of the manifests, by its name.
pub(crate) fn record() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": names::MANIFESTS_RECORD, "namespace": names::MANIFESTS_NAMESPACE },
    })
}

/// How many pods a `Deployment` is to have.
pub(crate) fn replicas(deployment: &Value) -> u64 {
    deployment["spec"]["replicas"].as_u64().unwrap_or(1)
}
