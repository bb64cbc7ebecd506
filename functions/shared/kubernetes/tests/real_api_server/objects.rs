//! Objects for the tests, each under a name of its own, so that tests neither meet each other nor what else lives in
//! the cluster.

#![allow(clippy::expect_used, clippy::panic, reason = "part of tests")]

use std::time::{Duration, SystemTime};

use kube::api::{Api, DeleteParams, PostParams};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json};
use tidegate_domain::disks::{Disk, DiskLayout};
use tidegate_domain::subject::{Identity, InstanceId, Subject};
use tidegate_kubernetes::Cluster;

/// How long the controllers may take over something that they do at once on an idle machine.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The administrator's configuration, without the retries of kube, as the product's.
pub(crate) async fn configuration() -> Config {
    let mut config = Config::from_kubeconfig(&KubeConfigOptions::default())
        .await
        .expect("KUBECONFIG of a local control plane");
    config.default_retry = false;
    config
}

/// The administrator's client.
pub(crate) async fn client() -> Client {
    Client::try_from(configuration().await).expect("a client")
}

/// The adapter.
pub(crate) fn cluster(client: &Client) -> Cluster {
    Cluster::with_client("label-node", client.clone())
}

/// 17 hexadecimal digits that nothing else has.
pub(crate) fn unique() -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    format!("{:017x}", now.as_nanos() & 0xf_ffff_ffff_ffff_ffff)
}

/// An instance that nothing else has, of a type that nothing else has.
pub(crate) fn subject() -> Subject {
    let unique = unique();
    let disks = vec![Disk { size_gb: 300 }; 2];
    Subject {
        instance_id: InstanceId::parse(&format!("i-{unique}")).expect("an id"),
        auto_scaling_group: "nvme-nodes".into(),
        availability_zone: "us-west-2a".into(),
        instance_type: format!("test.{unique}"),
        lifecycle_state: "Pending:Wait".into(),
        disk_layout: DiskLayout::of(&disks),
        disks,
        one_array: false,
        hook: None,
        retains: false,
        identity: Identity::default(),
    }
}

/// The node that the subject's instance becomes, as it is when it joins.
pub(crate) fn node_of(subject: &Subject) -> Value {
    let Subject {
        instance_id,
        availability_zone,
        instance_type,
        ..
    } = subject;
    json!({
        "metadata": {
            "name": format!("node-of-{instance_id}"),
            "labels": {
                "node.kubernetes.io/instance-type": instance_type,
                "topology.kubernetes.io/zone": availability_zone,
            },
        },
        "spec": {"providerID": format!("aws:///{availability_zone}/{instance_id}")},
    })
}

/// Creates an object. What the controllers have to make first (the default service account of a new namespace) is
/// waited for.
pub(crate) async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    let object = from_value(object).expect("a valid object");
    for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
        match api.create(&PostParams::default(), &object).await {
            Ok(created) => return created,
            Err(kube::Error::Api(status))
                if status.code == 403 && status.message.contains("serviceaccount") =>
            {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no service account in {PATIENCE:?}");
}

/// A namespace of the test's own.
pub(crate) async fn namespace(client: &Client) -> String {
    let name = format!("test-{}", unique());
    let api = Api::<k8s_openapi::api::core::v1::Namespace>::all(client.clone());
    create(&api, json!({"metadata": {"name": name}})).await;
    name
}

/// Removes a namespace; what is in it goes with it.
pub(crate) async fn remove_namespace(client: &Client, name: &str) {
    let pods = Api::<k8s_openapi::api::core::v1::Pod>::namespaced(client.clone(), name);
    pods.delete_collection(
        &DeleteParams::default().grace_period(0),
        &kube::api::ListParams::default(),
    )
    .await
    .expect("pods deleted");
    let api = Api::<k8s_openapi::api::core::v1::Namespace>::all(client.clone());
    remove(&api, name).await;
}

/// Deletes an object, if it is there and not on its way out (409 of a namespace).
pub(crate) async fn remove<K>(api: &Api<K>, name: &str)
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    match api.delete(name, &DeleteParams::default().grace_period(0)).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Waits until a look finds what it looks for.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    panic!("{what}: not within {PATIENCE:?}");
}
