//! Cluster Autoscaler 1.35, as far as a node that it takes away sees of it. It cannot run here.
//!
//! After `cluster-autoscaler/core/scaledown/{eligibility,actuation}`, `utils/{taints,daemonset}` and `cloudprovider/aws` of
//! <https://github.com/kubernetes/autoscaler>.

use aws_sdk_autoscaling::error::ProvideErrorMetadata;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use kube::Api;
use kube::api::{EvictParams, ListParams, PostParams};

use super::{Group, eventually};

const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
const DELETION_CANDIDATE: &str = "DeletionCandidateOfClusterAutoscaler";
const SCALE_DOWN_DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
const EVICT_DAEMON_SET_POD: &str = "cluster-autoscaler.kubernetes.io/enable-ds-eviction";

/// Cluster Autoscaler with `--cordon-node-before-terminating`, at work on one group.
pub(crate) struct ClusterAutoscaler<'a>(pub(crate) &'a Group);

impl ClusterAutoscaler<'_> {
    fn nodes(&self) -> Api<Node> {
        Api::all(self.0.world.kube.clone())
    }

    /// Whether it would ever choose that node.
    pub(crate) async fn may_choose(&self, instance: &str) -> bool {
        let disabled = self.0.world.annotation(instance, SCALE_DOWN_DISABLED).await;
        disabled.as_deref() != Some("true")
    }

    /// The node is not needed: for ten minutes it only asks others not to use it.
    pub(crate) async fn marks(&self, node: &str) {
        self.add_taint(node, DELETION_CANDIDATE, "PreferNoSchedule", false)
            .await;
    }

    /// The node goes: nothing new may run there.
    pub(crate) async fn begins(&self, node: &str) {
        self.add_taint(node, TO_BE_DELETED, "NoSchedule", true).await;
    }

    /// Replaces the node as a whole, as it was read; a node that has changed meanwhile is read again.
    async fn add_taint(&self, name: &str, key: &str, effect: &str, cordon: bool) {
        eventually(5, &format!("{name} is tainted"), async || {
            let mut node = self.nodes().get(name).await.expect("the node");
            let spec = node.spec.get_or_insert_default();
            spec.taints.get_or_insert_default().push(Taint {
                key: key.to_owned(),
                value: Some(Timestamp::now().as_second().to_string()),
                effect: effect.to_owned(),
                time_added: None,
            });
            if cordon {
                spec.unschedulable = Some(true);
            }
            self.nodes().replace(name, &PostParams::default(), &node).await
        })
        .await;
    }

    /// Evicts the pods and waits until those that no `DaemonSet` will start again are gone; answers the names of all that
    /// it evicted. What it does not evict stays until the instance is gone.
    pub(crate) async fn evicts(&self, node: &str) -> Vec<String> {
        let pods: Api<Pod> = Api::all(self.0.world.kube.clone());
        let on_node = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let listed = pods.list(&on_node).await.expect("pods").items;
        let mut evicted = Vec::new();
        let mut awaited = Vec::new();
        for pod in listed.into_iter().filter(to_be_evicted) {
            let name = pod.metadata.name.clone().expect("a name");
            let namespace = pod.metadata.namespace.clone().unwrap_or_default();
            let own: Api<Pod> = Api::namespaced(self.0.world.kube.clone(), &namespace);
            own.evict(&name, &EvictParams::default())
                .await
                .expect("the eviction is accepted");
            evicted.push(name.clone());
            if !of_daemon_set(&pod) {
                awaited.push((own, name));
            }
        }
        for (own, name) in awaited {
            eventually(60, &format!("pod {name} is gone"), async || {
                match own.get_opt(&name).await.expect("an answer") {
                    None => Ok(()),
                    Some(pod) => Err(pod.metadata.deletion_timestamp),
                }
            })
            .await;
        }
        evicted
    }

    /// Names the instance; whether Auto Scaling still knows it.
    pub(crate) async fn terminates(&self, instance: &str) -> bool {
        let asked = self
            .0
            .world
            .autoscaling
            .terminate_instance_in_auto_scaling_group()
            .instance_id(instance)
            .should_decrement_desired_capacity(true);
        match asked.send().await {
            Ok(_) => true,
            Err(error) => {
                let told = error.message().unwrap_or_default();
                assert!(told.contains("Instance Id not found"), "{error:?}");
                false
            }
        }
    }

    /// It has given up, as when an eviction was refused for two minutes: the node is as before.
    pub(crate) async fn gives_up(&self, name: &str) {
        eventually(5, &format!("{name} is released"), async || {
            let mut node = self.nodes().get(name).await.expect("the node");
            let spec = node.spec.get_or_insert_default();
            spec.taints
                .get_or_insert_default()
                .retain(|taint| taint.key != TO_BE_DELETED);
            spec.unschedulable = None;
            self.nodes().replace(name, &PostParams::default(), &node).await
        })
        .await;
    }
}

/// Pods of a `DaemonSet` too, unless they say that they are not to be.
fn to_be_evicted(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    let told = annotations.and_then(|annotations| annotations.get(EVICT_DAEMON_SET_POD));
    !of_daemon_set(pod) || told.is_none_or(|told| told != "false")
}

fn of_daemon_set(pod: &Pod) -> bool {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.kind == "DaemonSet")
}
