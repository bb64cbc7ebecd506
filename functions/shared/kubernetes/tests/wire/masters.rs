use serde_json::{Value, json};
use tidegate_domain::error::ErrorName;
use tidegate_domain::ports::{MasterPlace, MasterPlaces};

use crate::script::{Answer, Script};

/// A slice as the controller writes it for a service that publishes what is not ready.
fn slice(address_type: &str, endpoints: &[(&str, &str, bool)]) -> Value {
    let endpoint = |(pod, address, serving): &(&str, &str, bool)| {
        json!({
            "addresses": [address],
            "conditions": {"ready": true, "serving": serving, "terminating": false},
            "hostname": pod,
            "nodeName": "ip-10-0-0-1",
            "targetRef": {"kind": "Pod", "namespace": "alluxio", "name": pod},
        })
    };
    json!({
        "metadata": {"name": "alluxio-master-x", "labels": {"kubernetes.io/service-name": "alluxio-master"}},
        "addressType": address_type,
        "ports": [{"name": "web", "port": 19999}, {"name": "rpc", "port": 19998}],
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn place(pod: &str, address: &str, ready: bool) -> MasterPlace {
    MasterPlace {
        pod: pod.into(),
        node: "ip-10-0-0-1".into(),
        address: address.into(),
        ready,
    }
}

#[tokio::test]
async fn every_slice_of_the_service_is_asked_for_by_its_label_in_the_namespace_of_the_workers() {
    let first = slice("IPv4", &[("alluxio-master-2", "10.0.0.2", true)]);
    let second = slice(
        "IPv4",
        &[
            ("alluxio-master-0", "10.0.0.9", false),
            ("alluxio-master-2", "10.0.0.2", true),
        ],
    );
    let script = Script::with([Answer::list(&[first, second])]);
    let places = script.cluster.master_places("cache").await.expect("listed");
    assert_eq!(
        places,
        [
            place("alluxio-master-0", "10.0.0.9:19998", false),
            place("alluxio-master-2", "10.0.0.2:19998", true),
        ]
    );
    let asked = script.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].line,
        "GET /apis/discovery.k8s.io/v1/namespaces/cache/endpointslices"
    );
    assert_eq!(
        asked[0].parameter("labelSelector"),
        Some("kubernetes.io/service-name=alluxio-master")
    );
}

#[tokio::test]
async fn an_ipv6_address_is_written_so_that_a_port_can_follow_it() {
    let script = Script::with([Answer::list(&[slice("IPv6", &[("m", "2001:db8::7", true)])])]);
    let places = script.cluster.master_places("alluxio").await.expect("listed");
    assert_eq!(places[0].address, "[2001:db8::7]:19998");
}

#[tokio::test]
async fn no_slice_and_a_slice_without_endpoints_or_without_that_port_are_no_master() {
    let mut portless = slice("IPv4", &[("m", "10.0.0.2", true)]);
    portless["ports"] = json!([{"name": "web", "port": 19999}]);
    // As the controller writes none.
    let mut empty = slice("IPv4", &[]);
    empty["endpoints"] = Value::Null;
    for slices in [vec![], vec![slice("IPv4", &[])], vec![empty], vec![portless]] {
        let script = Script::with([Answer::list(&slices)]);
        assert_eq!(script.cluster.master_places("alluxio").await, Ok(vec![]));
    }
}

#[tokio::test]
async fn a_missing_right_is_refused_and_an_api_server_that_is_away_is_no_empty_service() {
    for (status, name) in [
        (403, ErrorName::KubernetesRefused),
        (503, ErrorName::KubernetesUnavailable),
    ] {
        let script = Script::with([Answer::failure(status, "no")]);
        let error = script.cluster.master_places("alluxio").await.expect_err("no");
        assert_eq!(error.name, name);
        assert!(error.message.contains("list endpointslices"), "{error}");
    }
}
