use serde_json::{Value, json};
use tidegate_domain::error::ErrorName;
use tidegate_domain::victims::{CandidateNodes, Request};

use crate::script::{Answer, Script};

fn request(candidates: &[(&str, &str, &str)]) -> Request {
    let candidate = |(id, kind, zone): &(&str, &str, &str)| json!({"InstanceId": id, "InstanceType": kind, "AvailabilityZone": zone});
    let payload = json!({
        "AutoScalingGroupName": "nvme",
        "CapacityToTerminate": [],
        "Instances": candidates.iter().map(candidate).collect::<Vec<_>>(),
        "Cause": "SCALE_IN",
    });
    serde_json::from_value(payload).unwrap_or_else(|error| unreachable!("{error}"))
}

fn node(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"tidegate.dev/alluxio-master": "true"}},
        "spec": {"providerID": "aws:///us-west-2a/i-0123abcd"},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.7"}]},
    })
}

#[tokio::test]
async fn one_listing_of_the_candidates_types_and_zones_finds_nodes_that_no_join_has_labelled() {
    let script = Script::with([Answer::list(&[node("ours")])]);
    let request = request(&[
        ("i-0123abcd", "m5d.4xlarge", "us-west-2a"),
        ("i-0123abce", "m5d.4xlarge", "us-west-2b"),
        ("i-0123abcf", "r5d.4xlarge", "us-west-2b"),
    ]);
    let nodes = script.cluster.candidate_nodes(&request).await.expect("listed");
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].provider_id, "aws:///us-west-2a/i-0123abcd");
    assert_eq!(nodes[0].internal_ip.as_deref(), Some("10.0.0.7"));
    assert!(nodes[0].has_label("tidegate.dev/alluxio-master", "true"));
    let asked = script.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, "GET /api/v1/nodes");
    assert_eq!(
        asked[0].parameter("labelSelector"),
        Some(
            "node.kubernetes.io/instance-type in (m5d.4xlarge,r5d.4xlarge),\
             topology.kubernetes.io/zone in (us-west-2a,us-west-2b)"
        )
    );
}

#[tokio::test]
async fn an_api_server_that_is_overloaded_is_an_error_and_no_empty_cluster() {
    let script = Script::with([Answer::failure(503, "overloaded")]);
    let request = request(&[("i-0123abcd", "m5d.4xlarge", "us-west-2a")]);
    let error = script.cluster.candidate_nodes(&request).await.expect_err("away");
    assert_eq!(error.name, ErrorName::KubernetesUnavailable);
}
