use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Pod as CorePod, PodSpec};
use kube::Api;
use kube::api::PostParams;
use serde_json::Value;
use tidegate_domain::error::Result;
use tidegate_domain::names;
use tidegate_domain::node::Pod;
use tidegate_domain::plan::EvictionTrial;
use tidegate_domain::ports::{Deletion, Eviction, Pods};

use crate::cluster::Cluster;
use crate::errors::{Asked, silence};
use crate::eviction::{deletion_refused, eviction_body, eviction_refused};
use crate::pod_view::pod_view;
use crate::volumes::delete_params;
use crate::watch::{Selection, Until};

const EVICT_PODS: Asked = Asked {
    verb: "create",
    resource: "pods/eviction",
};
const DELETE_PODS: Asked = Asked {
    verb: "delete",
    resource: "pods",
};
/// The status of a login that is refused, which is about every pod and not about one.
const NOT_LOGGED_IN: u16 = 401;
/// With a grace period of 0 the API server forgets a pod at once, while its containers run on.
const SHORTEST_GRACE_SECONDS: u32 = 1;

impl Pods for Cluster {
    async fn on_node(
        &self,
        node: &str,
        only: Option<(&str, &str)>,
        within: Duration,
        enough: &dyn Fn(&[Pod]) -> bool,
    ) -> Result<Vec<Pod>> {
        let api = match only {
            Some((namespace, _)) => Api::<CorePod>::namespaced(self.client.clone(), namespace),
            None => Api::<CorePod>::all(self.client.clone()),
        };
        let selection = Selection {
            resource: "pods",
            labels: only.map(|(_, labels)| labels.to_owned()),
            fields: Some(format!("spec.nodeName={node}")),
        };
        self.look_until(&api, &selection, Until { within, enough }, &|pod| {
            Ok(Some(pod_view(pod)))
        })
        .await
    }

    async fn evict(&self, pod: &Pod) -> Result<Eviction> {
        self.ask_to_evict(pod, &PostParams::default()).await
    }

    async fn delete(&self, pod: &Pod) -> Result<Deletion> {
        let api = Api::<CorePod>::namespaced(self.client.clone(), &pod.namespace);
        let grace = pod.grace_period_seconds.max(SHORTEST_GRACE_SECONDS);
        let params = delete_params(&pod.uid).grace_period(grace);
        match self.send(async || api.delete(&pod.name, &params).await).await {
            Ok(_) => Ok(Deletion::Accepted),
            Err(kube::Error::Api(status)) if status.code != NOT_LOGGED_IN => {
                Ok(deletion_refused(self.function(), DELETE_PODS, &status))
            }
            Err(error) => silence(self.function(), DELETE_PODS, error).map(Deletion::Refused),
        }
    }

    async fn worker_daemon_set_exists(&self, namespace: &str, layout: &str) -> Result<bool> {
        let api = Api::<DaemonSet>::namespaced(self.client.clone(), namespace);
        // Of one namespace, which holds one set for each disk layout: there is nothing to select by.
        let selection = Selection {
            resource: "daemonsets",
            labels: None,
            fields: None,
        };
        let selects = self
            .look(&api, &selection, &|set: DaemonSet| {
                let pod = set.spec.and_then(|spec| spec.template.spec);
                Ok(pod.map(|pod| selects_layout(&pod, layout)))
            })
            .await?;
        Ok(selects.contains(&true))
    }
}

impl EvictionTrial for Cluster {
    async fn try_evict(&self, pod: &Pod) -> Result<Eviction> {
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        self.ask_to_evict(pod, &dry_run).await
    }
}

impl Cluster {
    async fn ask_to_evict(&self, pod: &Pod, params: &PostParams) -> Result<Eviction> {
        let api = Api::<CorePod>::namespaced(self.client.clone(), &pod.namespace);
        let body = eviction_body(pod);
        let answer = self
            .send(async || {
                api.create_subresource::<_, Value>("eviction", &pod.name, params, &body)
                    .await
            })
            .await;
        match answer {
            Ok(_) => Ok(Eviction::Accepted),
            Err(kube::Error::Api(status)) if status.code != NOT_LOGGED_IN => {
                Ok(eviction_refused(self.function(), EVICT_PODS, &status))
            }
            Err(error) => silence(self.function(), EVICT_PODS, error).map(Eviction::Refused),
        }
    }
}

/// Whether a pod runs only on nodes with the worker's lever at that layout: by node selector, or by node affinity.
fn selects_layout(pod: &PodSpec, layout: &str) -> bool {
    let by_selector = pod
        .node_selector
        .as_ref()
        .and_then(|selector| selector.get(names::WORKER_LABEL))
        .is_some_and(|value| value == layout);
    let terms = pod
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        })
        .map(|required| required.node_selector_terms.as_slice())
        .unwrap_or_default();
    by_selector
        || terms
            .iter()
            .flat_map(|term| term.match_expressions.iter().flatten())
            .any(|expression| {
                expression.key == names::WORKER_LABEL
                    && expression.operator == "In"
                    && expression.values.iter().flatten().any(|value| value == layout)
            })
}
