//! What is read from EC2's answers.

#[path = "../../aws/tests/endpoint/mod.rs"]
mod endpoint;

use endpoint::{Answer, Endpoint};
use tidegate_domain::disks::Disk;
use tidegate_domain::error::ErrorName;
use tidegate_domain::ports::Instances;
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

#[tokio::test]
async fn an_instance_has_a_state() {
    let endpoint = Endpoint::with([Answer::ok(
        "<DescribeInstancesResponse><reservationSet><item><instancesSet><item>\
         <instanceId>i-0123456789abcdef0</instanceId><instanceState><code>48</code><name>terminated</name>\
         </instanceState></item></instancesSet></item></reservationSet></DescribeInstancesResponse>",
    )]);
    let state = Ec2::new(&endpoint.configuration()).state(&instance()).await;
    assert_eq!(state, Ok(Some("terminated".into())));
}

#[tokio::test]
async fn an_instance_that_ec2_does_not_know_has_none() {
    for code in ["InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"] {
        let endpoint = Endpoint::with([ec2_error(400, code)]);
        let state = Ec2::new(&endpoint.configuration()).state(&instance()).await;
        assert_eq!(state, Ok(None), "{code}");
    }
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
            .state(&instance())
            .await
            .expect_err("an error");
        assert_eq!(error.name, name, "{error}");
    }
}
