//! What of a cluster EC2 still has.

#[path = "../../aws/tests/endpoint/mod.rs"]
mod endpoint;

use endpoint::{Answer, Endpoint};
use tidegate_domain::destroy::{Remain, Remains};
use tidegate_ec2::Ec2;

fn answers(instances: &str, volumes: &str, gateways: &str, addresses: &str) -> [Answer; 4] {
    [
        Answer::ok(&format!(
            "<DescribeInstancesResponse><reservationSet><item><instancesSet>{instances}</instancesSet></item>\
             </reservationSet></DescribeInstancesResponse>"
        )),
        Answer::ok(&format!(
            "<DescribeVolumesResponse><volumeSet>{volumes}</volumeSet></DescribeVolumesResponse>"
        )),
        Answer::ok(&format!(
            "<DescribeNatGatewaysResponse><natGatewaySet>{gateways}</natGatewaySet></DescribeNatGatewaysResponse>"
        )),
        Answer::ok(&format!(
            "<DescribeAddressesResponse><addressesSet>{addresses}</addressesSet></DescribeAddressesResponse>"
        )),
    ]
}

fn instance(id: &str, state: &str) -> String {
    format!(
        "<item><instanceId>{id}</instanceId><instanceState><code>1</code><name>{state}</name></instanceState></item>"
    )
}

fn remain(kind: &'static str, id: &str, state: &str) -> Remain {
    Remain {
        kind,
        id: id.to_owned(),
        state: state.to_owned(),
    }
}

#[tokio::test]
async fn what_carries_the_clusters_tags_is_told_with_its_state() {
    let endpoint = Endpoint::with(answers(
        &(instance("i-1", "shutting-down") + &instance("i-2", "terminated")),
        "<item><volumeId>vol-1</volumeId><status>available</status></item>",
        "<item><natGatewayId>nat-1</natGatewayId><state>deleting</state></item>\
         <item><natGatewayId>nat-2</natGatewayId><state>deleted</state></item>",
        "<item><allocationId>eipalloc-1</allocationId></item>",
    ));
    let remains = Ec2::new(&endpoint.configuration()).remains("prod").await;
    assert_eq!(
        remains,
        Ok(vec![
            remain("instance", "i-1", "shutting-down"),
            remain("volume", "vol-1", "available"),
            remain("NAT gateway", "nat-1", "deleting"),
            remain("address", "eipalloc-1", "allocated"),
        ])
    );
    let requests = endpoint.requests();
    for request in &requests[..2] {
        assert!(request.contains("kubernetes.io%2Fcluster%2Fprod"), "{request}");
    }
    for request in &requests[2..] {
        assert!(
            request.contains("tag%3Atidegate-cluster") && request.contains("=prod"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_cluster_that_is_gone() {
    let endpoint = Endpoint::with(answers(&instance("i-1", "terminated"), "", "", ""));
    let remains = Ec2::new(&endpoint.configuration()).remains("prod").await;
    assert_eq!(remains, Ok(Vec::new()));
}
