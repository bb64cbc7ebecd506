use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;
use tidegate_domain::cache::{Rate, RateMemory};
use tidegate_domain::error::ErrorName;

use crate::objects::{client, cluster, create, namespace, remove_namespace};

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_rate_is_kept_in_the_config_map_that_the_manifests_bring_and_in_no_other() {
    let client = client().await;
    let namespace = namespace(&client).await;
    let cluster = cluster(&client);
    let rate = Rate {
        files: 3,
        bytes: 300,
        seconds: 7,
        seen_at: Timestamp::UNIX_EPOCH,
    };
    assert_eq!(cluster.last_rate(&namespace).await, Ok(None));
    let error = cluster
        .note_rate(&namespace, &rate)
        .await
        .expect_err("no ConfigMap");
    assert_eq!(error.name, ErrorName::KubernetesRefused);
    let config_map = json!({"metadata": {"name": "tidegate-drain-rate"}});
    create(
        &Api::<ConfigMap>::namespaced(client.clone(), &namespace),
        config_map,
    )
    .await;
    assert_eq!(cluster.last_rate(&namespace).await, Ok(None));
    cluster.note_rate(&namespace, &rate).await.expect("noted");
    assert_eq!(cluster.last_rate(&namespace).await, Ok(Some(rate)));
    remove_namespace(&client, &namespace).await;
}
