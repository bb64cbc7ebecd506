//! What is read from EC2's answers.

#[path = "../../aws/tests/endpoint/mod.rs"]
mod endpoint;

use endpoint::{Answer, Endpoint};
use tidegate_domain::disks::Disk;
use tidegate_domain::error::ErrorName;
use tidegate_domain::ports::{Ec2Instance, Instances};
use tidegate_domain::subject::InstanceId;
use tidegate_ec2::Ec2;

fn instance_type(name: &str, storage: &str) -> Answer {
    Answer::ok(&format!(
        "<DescribeInstanceTypesResponse><instanceTypeSet><item><instanceType>{name}</instanceType>{storage}</item>\
         </instanceTypeSet></DescribeInstanceTypesResponse>"
    ))
}

fn storage(disks: &[(u32, u32, &str)], nvme: &str) -> String {
    let disks = disks.iter().fold(String::new(), |items, (count, size, kind)| {
        items + &format!("<item><count>{count}</count><sizeInGB>{size}</sizeInGB><type>{kind}</type></item>")
    });
    format!(
        "<instanceStorageSupported>true</instanceStorageSupported><instanceStorageInfo><disks>{disks}</disks>\
         <nvmeSupport>{nvme}</nvmeSupport></instanceStorageInfo>"
    )
}

/// An error as EC2 spells it.
fn ec2_error(status: u16, code: &str) -> Answer {
    Answer::With(
        status,
        format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{code} it says</Message></Error></Errors>\
             <RequestID>r</RequestID></Response>"
        ),
    )
}

fn instance() -> InstanceId {
    InstanceId::parse("i-0123456789abcdef0").unwrap_or_else(|error| unreachable!("{error}"))
}

#[tokio::test]
async fn each_nvme_ssd_of_a_type_is_a_disk() {
    let endpoint = Endpoint::with([instance_type(
        "m5d.4xlarge",
        &storage(&[(2, 300, "ssd")], "required"),
    )]);
    let disks = Ec2::new(&endpoint.configuration())
        .local_disks("m5d.4xlarge")
        .await;
    assert_eq!(disks, Ok(vec![Disk { size_gb: 300 }; 2]));
    assert!(endpoint.requests()[0].contains("InstanceType.1=m5d.4xlarge"));
}

#[tokio::test]
async fn hard_disks_ssds_without_nvme_and_no_disks_at_all_are_none() {
    for (name, storage) in [
        ("d3.xlarge", storage(&[(3, 1_980, "hdd")], "required")),
        ("m3.large", storage(&[(1, 32, "ssd")], "unsupported")),
        ("m5.large", String::new()),
    ] {
        let endpoint = Endpoint::with([instance_type(name, &storage)]);
        let disks = Ec2::new(&endpoint.configuration()).local_disks(name).await;
        assert_eq!(disks, Ok(Vec::new()), "{name}");
    }
}

#[tokio::test]
async fn a_type_is_asked_for_once_in_the_life_of_a_process() {
    let endpoint = Endpoint::with([
        instance_type("i3.8xlarge", &storage(&[(4, 1_900, "ssd")], "required")),
        instance_type("m5.large", ""),
    ]);
    let ec2 = Ec2::new(&endpoint.configuration());
    for (name, disks) in [("i3.8xlarge", 4), ("m5.large", 0)].repeat(2) {
        assert_eq!(ec2.local_disks(name).await.map(|found| found.len()), Ok(disks));
    }
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test]
async fn a_type_that_ec2_does_not_know_is_refused() {
    let endpoint = Endpoint::with([ec2_error(400, "InvalidInstanceType")]);
    let error = Ec2::new(&endpoint.configuration())
        .local_disks("m0.huge")
        .await
        .expect_err("unknown");
    assert_eq!(error.name, ErrorName::AwsRefused);
    assert!(
        error
            .message
            .starts_with("ec2:DescribeInstanceTypes: InvalidInstanceType"),
        "{error}"
    );
}

/// The answer about one instance: its id, its private DNS name and the rest that is told.
fn described(id: &str, name: &str, more: &str) -> String {
    format!(
        "<item><instancesSet><item><instanceId>{id}</instanceId><privateDnsName>{name}</privateDnsName>\
         <instanceType>m5d.4xlarge</instanceType><placement><availabilityZone>us-west-2a</availabilityZone></placement>\
         <instanceState><code>48</code><name>terminated</name></instanceState>{more}</item></instancesSet></item>"
    )
}

fn reservations(items: &str) -> Answer {
    Answer::ok(&format!(
        "<DescribeInstancesResponse><reservationSet>{items}</reservationSet></DescribeInstancesResponse>"
    ))
}

#[tokio::test]
async fn an_instance_tells_its_state_and_the_group_that_launched_it() {
    let tag = |key: &str| format!("<tagSet><item><key>{key}</key><value>nvme-nodes</value></item></tagSet>");
    for (tags, group) in [
        (tag("aws:autoscaling:groupName"), Some("nvme-nodes")),
        (tag("Name"), None),
        (String::new(), None),
    ] {
        let endpoint = Endpoint::with([reservations(&described("i-0123456789abcdef0", "", &tags))]);
        let found = Ec2::new(&endpoint.configuration()).instance(&instance()).await;
        let expected = Ec2Instance {
            state: "terminated".into(),
            group: group.map(ToOwned::to_owned),
            zone: "us-west-2a".into(),
            instance_type: "m5d.4xlarge".into(),
            private_dns_name: None,
            private_address: None,
            ipv6_address: None,
        };
        assert_eq!(found, Ok(Some(expected)), "{tags}");
    }
}

#[tokio::test]
async fn an_instance_tells_its_name_and_addresses() {
    let addresses = "<privateIpAddress>10.0.0.7</privateIpAddress><ipv6Address>2600:1f14::7</ipv6Address>";
    let name = "ip-10-0-0-7.us-west-2.compute.internal";
    let endpoint = Endpoint::with([reservations(&described("i-0123456789abcdef0", name, addresses))]);
    let found = Ec2::new(&endpoint.configuration()).instance(&instance()).await;
    let found = found.expect("an answer").expect("an instance");
    assert_eq!(found.private_dns_name.as_deref(), Some(name));
    assert_eq!(found.private_address.as_deref(), Some("10.0.0.7"));
    assert_eq!(found.ipv6_address.as_deref(), Some("2600:1f14::7"));
}

#[tokio::test]
async fn an_instance_that_ec2_does_not_know_is_none() {
    for code in ["InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"] {
        let endpoint = Endpoint::with([ec2_error(400, code)]);
        let found = Ec2::new(&endpoint.configuration()).instance(&instance()).await;
        assert_eq!(found, Ok(None), "{code}");
    }
}

#[tokio::test]
async fn instances_are_found_by_their_names_two_hundred_in_a_call() {
    let names: Vec<_> = (0..201)
        .map(|number| format!("ip-10-0-0-{number}.ec2.internal"))
        .collect();
    let endpoint = Endpoint::with([
        reservations(&described("i-00000001", &names[0], "")),
        reservations(&described("i-000000c9", &names[200], "")),
    ]);
    let found = Ec2::new(&endpoint.configuration())
        .with_private_dns_names(&names)
        .await;
    let id = |text: &str| InstanceId::parse(text).unwrap_or_else(|error| unreachable!("{error}"));
    assert_eq!(
        found,
        Ok(vec![
            (names[0].clone(), id("i-00000001")),
            (names[200].clone(), id("i-000000c9")),
        ])
    );
    let requests = endpoint.requests();
    assert!(
        requests[0].contains("Filter.1.Name=private-dns-name"),
        "{}",
        requests[0]
    );
    assert!(requests[0].contains("Filter.1.Value.200="), "{}", requests[0]);
    assert!(!requests[0].contains("Filter.1.Value.201="), "{}", requests[0]);
    assert!(
        requests[1].contains("Filter.1.Value.1=ip-10-0-0-200.ec2.internal"),
        "{}",
        requests[1]
    );
}

#[tokio::test]
async fn missing_rights_and_throttling_are_told_apart() {
    for (answer, name) in [
        (ec2_error(403, "UnauthorizedOperation"), ErrorName::AwsRefused),
        (ec2_error(503, "RequestLimitExceeded"), ErrorName::AwsUnavailable),
        (ec2_error(400, "RequestLimitExceeded"), ErrorName::AwsUnavailable),
    ] {
        let endpoint = Endpoint::with([answer]);
        let error = Ec2::new(&endpoint.configuration())
            .instance(&instance())
            .await
            .expect_err("an error");
        assert_eq!(error.name, name, "{error}");
    }
}
