//! Waits until each disk of the node is a volume.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tidegate_domain::claim::drained_by_another;
use tidegate_domain::deadline::retry_after_seconds;
use tidegate_domain::error::Result;
use tidegate_domain::join::{VolumesSeen, disk_is_to_blame, superseded, volumes_seen};
use tidegate_domain::names;
use tidegate_domain::outcome::{Answer, VolumesOutcome};
use tidegate_domain::plan::provision;
use tidegate_domain::ports::{Clock, Nodes, Pods, Volumes};
use tidegate_lambda::{Call, Reply, Serve};

/// The function. `Cluster` is the Kubernetes API.
pub struct ProvisionVolumes<Cluster, C> {
    /// The cluster's nodes, volumes and pods.
    pub cluster: Cluster,
    /// Time.
    pub clock: C,
    /// How long a call watches for the volumes.
    pub watch_seconds: u32,
    /// How long a ready provisioner of this node may need to publish a disk, before the disk is held for missing.
    pub publish_limit_seconds: u32,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The names of the volumes.
    pub volumes: Vec<String>,
    /// The join gives way to a drain of the node.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
}

impl<Cluster: Nodes + Volumes + Pods, C: Clock> ProvisionVolumes<Cluster, C> {
    async fn answer(&self, call: &Call) -> Result<Answer<VolumesOutcome, Facts>> {
        let subject = &call.node;
        let complete =
            |volumes: &[_]| !matches!(volumes_seen(&subject.disks, volumes), VolumesSeen::Missing(_));
        let watch = Duration::from_secs(self.watch_seconds.into());
        let volumes = self
            .cluster
            .of_instance(&subject.instance_id, watch, &complete)
            .await?;
        let mut facts = Facts {
            volumes: volumes.iter().map(|volume| volume.name.clone()).collect(),
            ..Facts::default()
        };
        let missing = match volumes_seen(&subject.disks, &volumes) {
            VolumesSeen::Complete => {
                let reason = format!("{} disks are {} volumes", subject.disks.len(), volumes.len());
                return Ok(Answer::new(VolumesOutcome::Provisioned, reason, facts));
            }
            VolumesSeen::Wrong(reason) => return Ok(Answer::new(VolumesOutcome::Unfit, reason, facts)),
            VolumesSeen::Missing(reason) => reason,
        };
        let now = self.clock.now();
        let Some(node) = self.cluster.find(subject, Duration::ZERO).await? else {
            let again = retry_after_seconds(&call.frame, now, subject.hook.as_ref(), self.watch_seconds);
            let reason = format!(
                "{missing}; instance {} is no node at the moment",
                subject.instance_id
            );
            return Ok(if call.frame.expired(now) {
                Answer::new(VolumesOutcome::Expired, reason, facts)
            } else {
                Answer::again(VolumesOutcome::Waiting, reason, again, facts)
            });
        };
        if let Some(reason) = superseded(&node, &call.execution) {
            facts.draining = drained_by_another(&node);
            return Ok(Answer::new(VolumesOutcome::Superseded, reason, facts));
        }
        let only = Some((names::PROVISIONER_NAMESPACE, names::PROVISIONER_SELECTOR));
        let provisioners = self
            .cluster
            .on_node(&node.name, only, Duration::ZERO, &|_| true)
            .await?;
        let provisioner = provisioners.first();
        if disk_is_to_blame(
            &subject.disks,
            &volumes,
            provisioner,
            self.publish_limit_seconds,
            now,
        ) {
            let reason = format!(
                "{missing}, though the provisioner on node {} has been ready for over {} s",
                node.name, self.publish_limit_seconds
            );
            return Ok(Answer::new(VolumesOutcome::Unfit, reason, facts));
        }
        let provisioner = match provisioner {
            None => "no provisioner pod there yet".to_owned(),
            Some(pod) if pod.ready => format!("provisioner {} is ready", pod.full_name()),
            Some(pod) => {
                let trouble = pod.trouble.as_deref().unwrap_or("starting");
                format!("provisioner {} is not ready: {trouble}", pod.full_name())
            }
        };
        let reason = format!("{missing} on node {}; {provisioner}", node.name);
        if call.frame.expired(now) {
            return Ok(Answer::new(VolumesOutcome::Expired, reason, facts));
        }
        let again = retry_after_seconds(&call.frame, now, subject.hook.as_ref(), self.watch_seconds);
        Ok(Answer::again(VolumesOutcome::Waiting, reason, again, facts))
    }
}

impl<Cluster: Nodes + Volumes + Pods, C: Clock> Serve for ProvisionVolumes<Cluster, C> {
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let call: Call = Call::read(&payload)?;
        if call.plan {
            let id = &call.node.instance_id;
            let volumes = self.cluster.of_instance(id, Duration::ZERO, &|_| true).await?;
            let plan = provision(&call.node.disks, &volumes);
            let answer = Answer::new(VolumesOutcome::Planned, plan.reason(), plan);
            return Ok(Reply::of(&answer)?.about(&call.node));
        }
        Ok(Reply::of(&self.answer(&call).await?)?.about(&call.node))
    }
}
