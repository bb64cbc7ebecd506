//! Takes a step, or says what taking it would change.

use jiff::SignedDuration;
use serde_json::Value;
use tidegate_domain::bootstrap::{Objects, driver_of, pods_of, readiness, title, trouble_of_pod, unjoined};
use tidegate_domain::drift::{ClusterView, difference, of_groups};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::outcome::{Answer, BootstrapOutcome};
use tidegate_domain::ports::Clock;
use tidegate_manifests::Step;

use crate::{Answered, BETWEEN_LOOKS, BootstrapCluster, Facts, Neighbours, Seen};

impl<N: Neighbours> BootstrapCluster<N> {
    /// Applies the objects of a step, and watches for a while until they do what they are there for. Answers what they
    /// wait for; none where the step is verified.
    pub(crate) async fn take(&self, cluster: &N::Cluster, step: &Step) -> Result<Option<String>> {
        let objects = objects_of(step)?;
        for object in &objects {
            Objects::apply(cluster, object).await?;
        }
        let began = self.clock.now();
        let watch = SignedDuration::from_secs(self.watch_seconds.into());
        loop {
            let mut waits = Vec::new();
            for object in &objects {
                waits.extend(waits_for(cluster, object).await?);
            }
            if waits.is_empty() {
                return Ok(None);
            }
            if self.clock.now().duration_since(began) >= watch {
                return Ok(Some(waits.join("; ")));
            }
            self.clock.sleep(BETWEEN_LOOKS).await;
        }
    }

    /// What would be changed, with nothing changed.
    pub(crate) async fn plan(
        &self,
        cluster: &N::Cluster,
        steps: &[Step],
        seen: &Seen,
        mut facts: Facts,
    ) -> Result<Answered> {
        for step in steps {
            let objects = objects_of(step)?;
            for object in &objects {
                match Objects::get(cluster, object).await? {
                    None => facts.would.push(format!("make {}", title(object))),
                    Some(live) => facts.would.extend(
                        difference(object, &live).map(|what| format!("change {}: {what}", title(object))),
                    ),
                }
            }
        }
        let of_groups = of_groups(&seen.groups, &self.scope);
        facts.would.extend(
            of_groups
                .into_iter()
                .map(|finding| format!("set right: {}", finding.seen)),
        );
        let nodes = ClusterView::nodes(cluster).await?;
        for late in unjoined(&seen.groups, &seen.disks, &nodes) {
            facts
                .would
                .push(format!("join instance {}, which {}", late.instance, late.why));
            facts.instances_to_join.push(late.instance);
        }
        let reason = match facts.would.len() {
            0 => "nothing to do".to_owned(),
            changes => format!("would make {changes} changes, the first: {}", facts.would[0]),
        };
        Ok(Answer::new(BootstrapOutcome::Planned, reason, facts))
    }
}

async fn waits_for<Cluster: Objects>(
    cluster: &Cluster,
    object: &serde_json::Value,
) -> Result<Option<String>> {
    if let Some(driver) = driver_of(object)
        && cluster.get(&driver).await?.is_none()
    {
        return Ok(Some(format!("{}: there is no {}", title(object), title(&driver))));
    }
    let Some(live) = cluster.get(object).await? else {
        return Ok(Some(format!("{} is not there", title(object))));
    };
    let Some(waits) = readiness(&live) else {
        return Ok(None);
    };
    // The set counts its pods; why one is not ready stands on the pod.
    for pod in pods_of(&live) {
        if let Some(trouble) = cluster.get(&pod).await?.as_ref().and_then(trouble_of_pod) {
            return Ok(Some(format!("{waits}: {trouble}")));
        }
    }
    Ok(Some(waits))
}

fn objects_of(step: &Step) -> Result<Vec<Value>> {
    step.objects()
        .map_err(|error| Error::new(ErrorName::Defect, error.to_string()))
}
