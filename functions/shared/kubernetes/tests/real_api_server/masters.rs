//! Masters that run in the cluster are found in the slices that the real controller writes for the service of our
//! manifests, whatever becomes of their pods.

#![allow(clippy::expect_used, clippy::panic, reason = "part of tests")]

use k8s_openapi::api::core::v1::{Node as CoreNode, Pod as CorePod, Service};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use tidegate_domain::ports::{MasterPlace, MasterPlaces};
use tidegate_manifests::{Layout, MasterSet, Settings, steps};

use crate::objects::{
    client, cluster, create, eventually, namespace, node_of, remove, remove_namespace, subject,
};

struct Stage {
    client: Client,
    node: String,
    namespace: String,
}

impl Stage {
    async fn set() -> Self {
        let client = client().await;
        let node = node_of(&subject());
        let name = node["metadata"]["name"].as_str().expect("a name").to_owned();
        create(&Api::<CoreNode>::all(client.clone()), node).await;
        Self {
            node: name,
            namespace: namespace(&client).await,
            client,
        }
    }

    fn pods(&self) -> Api<CorePod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The service as the manifests have it.
    async fn publish(&self) {
        let service = rendered(&self.namespace, "Service");
        let services = Api::<Service>::namespaced(self.client.clone(), &self.namespace);
        create(&services, service).await;
    }

    /// A pod as the manifests' set would make it, with the address that its node gives it.
    async fn run(&self, name: &str, address: &str, ready: bool) {
        let labels = &rendered(&self.namespace, "StatefulSet")["spec"]["template"]["metadata"]["labels"];
        let pod = json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"nodeName": self.node, "hostname": name, "subdomain": "alluxio-master",
                "tolerations": [{"operator": "Exists"}], "containers": [{"name": "c", "image": "none"}]},
        });
        create(&self.pods(), pod).await;
        let status = json!({"status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
        }});
        self.pods()
            .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .expect("a status");
    }

    fn place(&self, pod: &str, address: &str, ready: bool) -> MasterPlace {
        MasterPlace {
            pod: pod.into(),
            node: self.node.clone(),
            address: format!("{address}:19998"),
            ready,
        }
    }

    async fn found(&self) -> Vec<MasterPlace> {
        let places = cluster(&self.client).master_places(&self.namespace).await;
        places.expect("listed")
    }

    /// The controller needs a moment.
    async fn expect(&self, places: &[MasterPlace]) {
        eventually(&format!("the masters are {places:?}"), async || {
            (self.found().await == places).then_some(())
        })
        .await;
    }
}

/// The object of that kind that the manifests have of the masters.
fn rendered(namespace: &str, kind: &str) -> Value {
    let settings = Settings {
        namespace: namespace.into(),
        master_set: Some(MasterSet::new(3, "s3://bucket/alluxio".into())),
        ..Settings::new(vec![Layout::memory(1024)], vec![])
    };
    let steps = steps(&settings).expect("rendered");
    let masters = steps.iter().find(|step| step.name == "alluxio-masters");
    let objects = masters.expect("masters").objects().expect("objects");
    let object = objects.into_iter().find(|object| object["kind"] == kind);
    object.unwrap_or_else(|| panic!("no {kind}"))
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn masters_are_found_by_the_slices_of_their_service_ready_or_not_and_again_after_a_restart() {
    let stage = Stage::set().await;
    assert_eq!(stage.found().await, []);
    stage.publish().await;
    assert_eq!(stage.found().await, []);
    stage.run("alluxio-master-0", "10.9.0.10", true).await;
    stage.run("alluxio-master-1", "10.9.0.11", false).await;
    let standing = stage.place("alluxio-master-1", "10.9.0.11", false);
    let first = stage.place("alluxio-master-0", "10.9.0.10", true);
    stage.expect(&[first, standing.clone()]).await;
    remove(&stage.pods(), "alluxio-master-0").await;
    stage.expect(std::slice::from_ref(&standing)).await;
    stage.run("alluxio-master-0", "10.9.0.77", true).await;
    let again = stage.place("alluxio-master-0", "10.9.0.77", true);
    stage.expect(&[again, standing]).await;
    remove_namespace(&stage.client, &stage.namespace).await;
    remove(&Api::<CoreNode>::all(stage.client.clone()), &stage.node).await;
}
