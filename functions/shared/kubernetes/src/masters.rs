//! Where the Alluxio masters are that run in the cluster: the `EndpointSlice`s of their service. Their names are known to
//! the cluster's DNS alone, while the pods' addresses are routable in the VPC.

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::Api;
use tidegate_domain::error::Result;
use tidegate_domain::names;
use tidegate_domain::ports::{MasterPlace, MasterPlaces};

use crate::cluster::Cluster;
use crate::watch::Selection;

/// Kubernetes sets it on every slice of a service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

impl MasterPlaces for Cluster {
    async fn master_places(&self, namespace: &str) -> Result<Vec<MasterPlace>> {
        let api = Api::<EndpointSlice>::namespaced(self.client.clone(), namespace);
        let labels = format!("{SERVICE_LABEL}={}", names::MASTER_SERVICE);
        let selection = Selection::by_labels("endpointslices", labels);
        let slices = self
            .look(&api, &selection, &|slice| Ok(Some(places(slice))))
            .await?;
        let mut places: Vec<_> = slices.into_iter().flatten().collect();
        // While a pod is moved from one slice to another it is in both.
        places.sort();
        places.dedup_by(|later, first| later.address == first.address);
        Ok(places)
    }
}

fn places(slice: EndpointSlice) -> Vec<MasterPlace> {
    let rpc = slice
        .ports
        .iter()
        .flatten()
        .find(|port| port.name.as_deref() == Some(names::MASTER_RPC_PORT));
    let Some(port) = rpc.and_then(|port| port.port) else {
        return Vec::new();
    };
    let place = |endpoint: Endpoint| {
        // All others are the same place.
        let address = endpoint.addresses.into_iter().next()?;
        let host = if address.contains(':') {
            format!("[{address}]")
        } else {
            address
        };
        Some(MasterPlace {
            pod: endpoint.target_ref.and_then(|pod| pod.name).unwrap_or_default(),
            node: endpoint.node_name.unwrap_or_default(),
            address: format!("{host}:{port}"),
            // The service publishes what is not ready, so each is `ready` in the words of a slice. Not known is a yes.
            ready: endpoint
                .conditions
                .and_then(|conditions| conditions.serving)
                .unwrap_or(true),
        })
    };
    slice.endpoints.into_iter().filter_map(place).collect()
}
