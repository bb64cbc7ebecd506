//! Nodes, volumes and pods, as an administrator sees them.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::{World, eventually};

impl World {
    /// The node of an instance, by its provider id; none where there is none.
    pub(crate) async fn node(&self, instance: &str) -> Option<Node> {
        let nodes: Api<Node> = Api::all(self.kube.clone());
        let list = nodes.list(&ListParams::default()).await.expect("nodes");
        list.items.into_iter().find(|node| {
            node.spec
                .as_ref()
                .and_then(|spec| spec.provider_id.as_deref())
                .is_some_and(|id| id.ends_with(instance))
        })
    }

    /// The instance behind a node.
    pub(crate) async fn instance(&self, node: &str) -> String {
        let nodes: Api<Node> = Api::all(self.kube.clone());
        let spec = nodes.get(node).await.expect("the node").spec;
        let id = spec.and_then(|spec| spec.provider_id).unwrap_or_default();
        id.rsplit('/').next().expect("an id").to_owned()
    }

    /// The name and the internal address of an instance's node.
    pub(crate) async fn node_address(&self, instance: &str) -> (String, String) {
        let node = self
            .node(instance)
            .await
            .unwrap_or_else(|| panic!("{instance} is a node"));
        let addresses = node
            .status
            .and_then(|status| status.addresses)
            .unwrap_or_default();
        let address = addresses
            .into_iter()
            .find(|address| address.type_ == "InternalIP")
            .expect("an internal address");
        (node.metadata.name.expect("a name"), address.address)
    }

    /// The labels of an instance's node.
    pub(crate) async fn labels(&self, instance: &str) -> BTreeMap<String, String> {
        self.node(instance)
            .await
            .and_then(|node| node.metadata.labels)
            .unwrap_or_default()
    }

    /// Takes a label off an instance's node.
    pub(crate) async fn take_label_off(&self, instance: &str, label: &str) {
        let (node, _) = self.node_address(instance).await;
        let nodes: Api<Node> = Api::all(self.kube.clone());
        let patch = Patch::Merge(json!({"metadata": {"labels": {label: null}}}));
        nodes
            .patch(&node, &PatchParams::default(), &patch)
            .await
            .expect("the label is taken off");
    }

    /// Takes the drain's mark and the cordon off an instance's node, as the README tells its reader.
    pub(crate) async fn take_back(&self, instance: &str) {
        let (node, _) = self.node_address(instance).await;
        let nodes: Api<Node> = Api::all(self.kube.clone());
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"tidegate.dev/drain-since": null}}}));
        nodes
            .patch(&node, &PatchParams::default(), &patch)
            .await
            .expect("the mark is taken off");
        nodes.uncordon(&node).await.expect("the node is uncordoned");
    }

    /// The keys of the taints of an instance's node.
    pub(crate) async fn taints(&self, instance: &str) -> Vec<String> {
        let taints = self
            .node(instance)
            .await
            .and_then(|node| node.spec)
            .and_then(|spec| spec.taints);
        taints
            .unwrap_or_default()
            .into_iter()
            .map(|taint| taint.key)
            .collect()
    }

    /// Whether an instance's node is cordoned.
    pub(crate) async fn cordoned(&self, instance: &str) -> bool {
        self.node(instance)
            .await
            .and_then(|node| node.spec)
            .and_then(|spec| spec.unschedulable)
            .unwrap_or_default()
    }

    /// Phase and capacity of the volumes of an instance's node.
    pub(crate) async fn volumes(&self, instance: &str) -> Vec<(String, String)> {
        let volumes: Api<PersistentVolume> = Api::all(self.kube.clone());
        let selector = format!("tidegate.dev/instance-id={instance}");
        let list = volumes
            .list(&ListParams::default().labels(&selector))
            .await
            .expect("volumes");
        list.items
            .into_iter()
            .map(|volume| {
                let capacity = volume.spec.and_then(|spec| spec.capacity).unwrap_or_default();
                let capacity = capacity
                    .get("storage")
                    .map(|quantity| quantity.0.clone())
                    .unwrap_or_default();
                (
                    volume.status.and_then(|status| status.phase).unwrap_or_default(),
                    capacity,
                )
            })
            .collect()
    }

    /// The names of the pods on a node, of all namespaces.
    pub(crate) async fn pods_on(&self, node: &str) -> Vec<String> {
        let pods: Api<Pod> = Api::all(self.kube.clone());
        let list = pods
            .list(&ListParams::default().fields(&format!("spec.nodeName={node}")))
            .await
            .expect("pods");
        list.items
            .into_iter()
            .filter_map(|pod| pod.metadata.name)
            .collect()
    }

    /// A pod of an application on a node, in the namespace `default`; waits until it runs.
    pub(crate) async fn application_pod(&self, name: &str, node: &str) {
        let pods: Api<Pod> = Api::namespaced(self.kube.clone(), "default");
        let pod = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": node},
                "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
            }
        }));
        pods.create(&PostParams::default(), &pod.expect("a pod"))
            .await
            .expect("the pod is taken");
        eventually(30, &format!("pod {name} runs"), async || {
            let pod = pods.get(name).await.expect("the pod");
            let phase = pod.status.and_then(|status| status.phase);
            if phase.as_deref() == Some("Running") {
                Ok(())
            } else {
                Err(phase)
            }
        })
        .await;
    }

    /// A disruption budget that lets no pod of that application go.
    pub(crate) async fn forbid_eviction(&self, app: &str) {
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(self.kube.clone(), "default");
        let budget = serde_json::from_value(json!({
            "metadata": {"name": app},
            "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": app}}}
        }));
        budgets
            .create(&PostParams::default(), &budget.expect("a budget"))
            .await
            .expect("the budget is taken");
    }

    /// Takes that budget away.
    pub(crate) async fn allow_eviction(&self, app: &str) {
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(self.kube.clone(), "default");
        budgets
            .delete(app, &DeleteParams::default())
            .await
            .expect("the budget is deleted");
    }

    /// A Deployment of one pod that tolerates every taint and runs on no other node; waits until the pod runs.
    pub(crate) async fn sticky_deployment(&self, name: &str, node: &str) {
        let deployments: Api<Deployment> = Api::namespaced(self.kube.clone(), "default");
        let deployment = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {
                        "nodeSelector": {"kubernetes.io/hostname": node},
                        "tolerations": [{"operator": "Exists"}],
                        "terminationGracePeriodSeconds": 1,
                        "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
                    },
                },
            },
        }));
        deployments
            .create(&PostParams::default(), &deployment.expect("a Deployment"))
            .await
            .expect("the Deployment is taken");
        eventually(30, &format!("Deployment {name} is ready"), async || {
            let status = deployments.get(name).await.expect("the Deployment").status;
            match status.and_then(|status| status.ready_replicas) {
                Some(1) => Ok(()),
                ready => Err(ready),
            }
        })
        .await;
    }

    /// Deletes that Deployment, with its pod.
    pub(crate) async fn remove_sticky(&self, name: &str) {
        let deployments: Api<Deployment> = Api::namespaced(self.kube.clone(), "default");
        deployments
            .delete(name, &DeleteParams::background())
            .await
            .expect("the Deployment is deleted");
    }

    /// A claim in the namespace `default` that is bound to a volume of an instance's node, as if another team had taken a
    /// disk of it. No disk is there: nothing mounts it.
    pub(crate) async fn claim_of_others(&self, name: &str, instance: &str, node: &str) {
        let volumes: Api<PersistentVolume> = Api::all(self.kube.clone());
        let volume = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"tidegate.dev/instance-id": instance}},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "fast-disks",
                "local": {"path": "/mnt/fast-disks/none"},
                "claimRef": {"namespace": "default", "name": name},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}},
            },
        }));
        volumes
            .create(&PostParams::default(), &volume.expect("a volume"))
            .await
            .expect("the volume is taken");
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.kube.clone(), "default");
        let claim = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "fast-disks", "volumeName": name,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }));
        claims
            .create(&PostParams::default(), &claim.expect("a claim"))
            .await
            .expect("the claim is taken");
        eventually(60, &format!("claim {name} is bound"), async || {
            let status = claims.get(name).await.expect("the claim").status;
            match status.and_then(|status| status.phase).as_deref() {
                Some("Bound") => Ok(()),
                phase => Err(phase.map(ToOwned::to_owned)),
            }
        })
        .await;
    }

    /// Whether that claim is there, bound, and not on its way out.
    pub(crate) async fn claim_stands(&self, name: &str) -> bool {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.kube.clone(), "default");
        let claim = claims.get_opt(name).await.expect("an answer");
        claim.is_some_and(|claim| {
            let phase = claim.status.and_then(|status| status.phase);
            claim.metadata.deletion_timestamp.is_none() && phase.as_deref() == Some("Bound")
        })
    }

    /// Deletes that claim and its volume.
    pub(crate) async fn remove_claim(&self, name: &str) {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.kube.clone(), "default");
        claims
            .delete(name, &DeleteParams::default())
            .await
            .expect("the claim is deleted");
        let volumes: Api<PersistentVolume> = Api::all(self.kube.clone());
        // Kubernetes has released it: what looks for volumes of nodes that are gone may have been faster.
        let _ = volumes.delete(name, &DeleteParams::default()).await;
    }

    /// Deletes a node object, as somebody does by hand.
    pub(crate) async fn delete_node(&self, name: &str) {
        let nodes: Api<Node> = Api::all(self.kube.clone());
        nodes
            .delete(name, &DeleteParams::default())
            .await
            .expect("the node is deleted");
    }
}
