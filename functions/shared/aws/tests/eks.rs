//! What is read from EKS's description of a cluster.

mod endpoint;

use endpoint::{Answer, Endpoint};
use tidegate_aws::EksCluster;
use tidegate_domain::api_server::{ApiServer, ApiServers};
use tidegate_domain::error::ErrorName;

#[tokio::test]
async fn a_cluster_is_reached_by_its_endpoint_and_certificate_authority() {
    let endpoint = Endpoint::with([Answer::ok(
        r#"{"cluster":{"name":"tidegate","status":"ACTIVE","endpoint":"https://127.0.0.1:6443",
            "certificateAuthority":{"data":"LS0tLS1CRUdJTg=="}}}"#,
    )]);
    let cluster = EksCluster::new(&endpoint.configuration(), "tidegate");
    let expected = ApiServer {
        endpoint: "https://127.0.0.1:6443".into(),
        certificate_authority: "-----BEGIN".into(),
    };
    assert_eq!(cluster.api_server().await, Ok(expected.clone()));
    assert_eq!(cluster.api_server().await, Ok(expected), "kept");
    assert_eq!(endpoint.requests().len(), 1);
    assert!(endpoint.requests()[0].starts_with("GET /clusters/tidegate "));
}

#[tokio::test]
async fn a_cluster_that_is_being_created_is_not_there_yet() {
    let endpoint = Endpoint::with([Answer::ok(
        r#"{"cluster":{"name":"tidegate","status":"CREATING"}}"#,
    )]);
    let error = EksCluster::new(&endpoint.configuration(), "tidegate")
        .api_server()
        .await
        .expect_err("no endpoint");
    assert_eq!(error.name, ErrorName::AwsUnavailable);
    assert!(error.message.contains("CREATING"), "{error}");
}

#[tokio::test]
async fn a_cluster_that_does_not_exist_is_refused() {
    let endpoint = Endpoint::with([Answer::With(
        404,
        r#"{"__type":"ResourceNotFoundException","message":"No cluster found for name: tidegate."}"#.into(),
    )]);
    let error = EksCluster::new(&endpoint.configuration(), "tidegate")
        .api_server()
        .await
        .expect_err("no cluster");
    assert_eq!(error.name, ErrorName::AwsRefused, "{error}");
    assert!(error.message.contains("No cluster found"), "{error}");
}
