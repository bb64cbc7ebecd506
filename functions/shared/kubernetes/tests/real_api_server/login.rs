#![allow(clippy::expect_used, reason = "part of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, PostParams};
use kube::config::Kubeconfig;
use serde_json::{from_value, json};
use tidegate_domain::error::ErrorName;
use tidegate_domain::ports::Nodes;
use tidegate_kubernetes::Cluster;

use crate::objects::{client, create, namespace, remove_namespace, subject};

/// Endpoint and certificate authority (PEM), as EKS's `DescribeCluster` tells them.
fn access() -> (String, Vec<u8>) {
    let config = Kubeconfig::from_env().expect("readable").expect("KUBECONFIG");
    let cluster = config.clusters[0].cluster.clone().expect("a cluster");
    let authority = match (cluster.certificate_authority_data, cluster.certificate_authority) {
        (Some(data), _) => STANDARD.decode(data).expect("base64"),
        (None, file) => std::fs::read(file.expect("a certificate authority")).expect("readable"),
    };
    (cluster.server.expect("a server"), authority)
}

/// The adapter, connected as the product connects it, and logged in as a service account of a namespace.
pub(crate) async fn connected(admin: &Client, namespace: &str) -> Cluster {
    let api = Api::<ServiceAccount>::namespaced(admin.clone(), namespace);
    create(&api, json!({"metadata": {"name": "function"}})).await;
    let request: TokenRequest =
        from_value(json!({"metadata": {}, "spec": {"audiences": []}})).expect("valid");
    let token = api
        .create_token_request("function", &PostParams::default(), &request)
        .await
        .expect("a token")
        .status
        .expect("a token")
        .token;
    let (endpoint, authority) = access();
    Cluster::connect("label-node", &endpoint, &authority, move |_| {
        std::future::ready(Ok(token.clone()))
    })
    .expect("connected")
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_bearer_token_logs_in_and_missing_rights_name_the_file_that_gives_them() {
    let admin = client().await;
    let namespace = namespace(&admin).await;
    let cluster = connected(&admin, &namespace).await;
    let error = cluster
        .find(&subject(), Duration::ZERO)
        .await
        .expect_err("it has no rights");
    assert_eq!(error.name, ErrorName::KubernetesRefused);
    let account = format!("system:serviceaccount:{namespace}:function");
    assert!(error.message.contains("list nodes"), "{error}");
    assert!(error.message.contains(&account), "{error}");
    assert!(error.message.contains("see rbac.yaml of label-node"), "{error}");
    remove_namespace(&admin, &namespace).await;
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_token_that_is_none_is_renewed_once_and_then_refused_with_the_way_out() {
    let (endpoint, authority) = access();
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let cluster = Cluster::connect("label-node", &endpoint, &authority, move |refused| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        assert_eq!(
            refused.is_some(),
            number == 1,
            "the second is told which was refused"
        );
        std::future::ready(Ok(format!("none-{number}")))
    })
    .expect("connected");
    let error = cluster
        .find(&subject(), Duration::ZERO)
        .await
        .expect_err("it is not logged in");
    assert_eq!(error.name, ErrorName::KubernetesRefused);
    assert!(error.message.contains("access entry"), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn an_api_server_that_is_away_is_unavailable_and_the_reason_is_told() {
    let (_, authority) = access();
    // Port 1 (tcpmux) is served nowhere.
    let cluster = Cluster::connect("label-node", "https://127.0.0.1:1", &authority, |_| {
        std::future::ready(Ok("token".to_owned()))
    })
    .expect("no request yet");
    let error = cluster
        .find(&subject(), Duration::ZERO)
        .await
        .expect_err("nobody there");
    assert_eq!(error.name, ErrorName::KubernetesUnavailable);
    assert!(error.message.contains("refused"), "{error}");
}
