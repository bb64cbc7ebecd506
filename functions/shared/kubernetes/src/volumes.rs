use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, VolumeNodeAffinity};
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::names;
use tidegate_domain::node::{ClaimRef, Owner, Volume, VolumeClaim, VolumePhase};
use tidegate_domain::ports::{Changed, Claims, Volumes};
use tidegate_domain::subject::InstanceId;

use crate::cluster::Cluster;
use crate::errors::Asked;
use crate::quantity::parse_bytes;
use crate::watch::{Resource, Selection, Until};

const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

impl Volumes for Cluster {
    async fn of_instance(
        &self,
        instance: &InstanceId,
        within: Duration,
        enough: &dyn Fn(&[Volume]) -> bool,
    ) -> Result<Vec<Volume>> {
        let api = Api::<PersistentVolume>::all(self.client.clone());
        let labels = format!("{}={instance}", names::INSTANCE_ID_LABEL);
        let selection = Selection::by_labels("persistentvolumes", labels);
        self.look_until(&api, &selection, Until { within, enough }, &|volume| {
            volume_view(volume).map(Some)
        })
        .await
    }

    async fn delete(&self, volume: &Volume) -> Result<Changed> {
        let api = Api::<PersistentVolume>::all(self.client.clone());
        let asked = Asked {
            verb: "delete",
            resource: "persistentvolumes",
        };
        self.delete_exactly(&api, asked, &volume.name, delete_params(&volume.uid))
            .await
    }
}

impl Claims for Cluster {
    async fn claim(&self, claim: &ClaimRef) -> Result<Option<VolumeClaim>> {
        let api = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), &claim.namespace);
        let asked = Asked {
            verb: "get",
            resource: "persistentvolumeclaims",
        };
        let found = self
            .ask_optional(asked, async || api.get(&claim.name).await)
            .await?;
        Ok(found.map(claim_view))
    }

    async fn delete_claim(&self, claim: &ClaimRef) -> Result<Changed> {
        let api = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), &claim.namespace);
        let asked = Asked {
            verb: "delete",
            resource: "persistentvolumeclaims",
        };
        self.delete_exactly(&api, asked, &claim.name, delete_params(&claim.uid))
            .await
    }
}

fn claim_view(claim: PersistentVolumeClaim) -> VolumeClaim {
    let meta = claim.metadata;
    let mut owners = meta.owner_references.unwrap_or_default().into_iter();
    VolumeClaim {
        uid: meta.uid.unwrap_or_default(),
        owner: owners
            .find(|owner| owner.controller == Some(true))
            .map(|owner| Owner {
                kind: owner.kind,
                name: owner.name,
            }),
        role: meta
            .labels
            .and_then(|mut labels| labels.remove(names::ROLE_LABEL)),
    }
}

impl Cluster {
    /// Deletes an object under the preconditions of `params`.
    pub(crate) async fn delete_exactly<K: Resource>(
        &self,
        api: &Api<K>,
        asked: Asked,
        name: &str,
        params: DeleteParams,
    ) -> Result<Changed> {
        match self.send(async || api.delete(name, &params).await).await {
            Ok(_) => Ok(Changed::Done),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Changed::Gone),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Changed::Conflict),
            Err(error) => Err(self.classify(asked, error)),
        }
    }
}

/// A deletion of exactly the object with that UID.
pub(crate) fn delete_params(uid: &str) -> DeleteParams {
    DeleteParams::default().preconditions(Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: None,
    })
}

fn volume_view(volume: PersistentVolume) -> Result<Volume> {
    let meta = volume.metadata;
    let spec = volume.spec.unwrap_or_default();
    let name = meta.name.unwrap_or_default();
    let capacity = spec
        .capacity
        .and_then(|mut capacity| capacity.remove("storage"))
        .unwrap_or_default()
        .0;
    let capacity_bytes = parse_bytes(&capacity).ok_or_else(|| {
        Error::new(
            ErrorName::Defect,
            format!("volume {name}: capacity {capacity:?} cannot be read as bytes"),
        )
    })?;
    let phase = volume.status.and_then(|status| status.phase);
    Ok(Volume {
        capacity_bytes,
        uid: meta.uid.unwrap_or_default(),
        storage_class: spec.storage_class_name.unwrap_or_default(),
        hostname: spec.node_affinity.as_ref().and_then(only_hostname),
        provisioned_by: meta
            .annotations
            .and_then(|mut annotations| annotations.remove(PROVISIONED_BY)),
        phase: match phase.as_deref() {
            Some("Available") => VolumePhase::Available,
            Some("Bound") => VolumePhase::Bound,
            Some("Released") => VolumePhase::Released,
            Some("Failed") => VolumePhase::Failed,
            _ => VolumePhase::Pending,
        },
        claim: spec.claim_ref.and_then(|claim| {
            Some(ClaimRef {
                namespace: claim.namespace?,
                name: claim.name?,
                // Empty while the claim is only reserved: a deletion with that precondition deletes nothing.
                uid: claim.uid.unwrap_or_default(),
            })
        }),
        name,
    })
}

/// The one host name that an affinity allows; none where it allows several, or does not speak of host names.
fn only_hostname(affinity: &VolumeNodeAffinity) -> Option<String> {
    let [term] = affinity.required.as_ref()?.node_selector_terms.as_slice() else {
        return None;
    };
    let expression = term
        .match_expressions
        .as_ref()?
        .iter()
        .find(|expression| expression.key == HOSTNAME_LABEL && expression.operator == "In")?;
    match expression.values.as_deref()? {
        [only] => Some(only.clone()),
        _ => None,
    }
}
