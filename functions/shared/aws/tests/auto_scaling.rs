//! What is read from Auto Scaling's answers, and what its errors are called.

mod endpoint;

use endpoint::{Answer, Endpoint};
use tidegate_aws::{GroupListing, Groups};
use tidegate_domain::bootstrap::{GroupTypes, TypeSource};
use tidegate_domain::drift::{GroupsView, LifecycleActions, WaitingHook};
use tidegate_domain::error::{Error, ErrorName};
use tidegate_domain::ports::{AutoScaling, GroupHook, GroupSettings, Membership};
use tidegate_domain::subject::InstanceId;

const ID: &str = "i-0123456789abcdef0";

fn instance() -> InstanceId {
    InstanceId::parse(ID).unwrap_or_else(|error| unreachable!("{error}"))
}

fn instances(members: &str) -> Answer {
    Answer::ok(&format!(
        "<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult><AutoScalingInstances>{members}\
         </AutoScalingInstances></DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>"
    ))
}

fn group(policy: &str) -> Answer {
    Answer::ok(&format!(
        "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups><member>\
         <AutoScalingGroupName>nvme-nodes</AutoScalingGroupName><MinSize>2</MinSize>\
         <DesiredCapacity>3</DesiredCapacity>{policy}</member></AutoScalingGroups>\
         </DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
    ))
}

#[tokio::test]
async fn an_instance_is_found_with_its_group_zone_type_and_state() {
    let endpoint = Endpoint::with([instances(&format!(
        "<member><InstanceId>{ID}</InstanceId><AutoScalingGroupName>nvme-nodes</AutoScalingGroupName>\
         <AvailabilityZone>us-west-2a</AvailabilityZone><InstanceType>m5d.4xlarge</InstanceType>\
         <LifecycleState>Pending:Wait</LifecycleState><HealthStatus>HEALTHY</HealthStatus></member>"
    ))]);
    let found = Groups::new(&endpoint.configuration())
        .membership(&instance())
        .await;
    assert_eq!(
        found,
        Ok(Some(Membership {
            group: "nvme-nodes".into(),
            zone: "us-west-2a".into(),
            instance_type: "m5d.4xlarge".into(),
            lifecycle_state: "Pending:Wait".into(),
        }))
    );
    let request = endpoint.requests().concat();
    assert!(
        request.contains("Action=DescribeAutoScalingInstances"),
        "{request}"
    );
    assert!(
        request.contains(&format!("InstanceIds.member.1={ID}")),
        "{request}"
    );
}

#[tokio::test]
async fn an_instance_in_no_group_has_no_membership() {
    let endpoint = Endpoint::with([instances("")]);
    let found = Groups::new(&endpoint.configuration())
        .membership(&instance())
        .await;
    assert_eq!(found, Ok(None));
}

#[tokio::test]
async fn many_instances_are_asked_for_fifty_at_a_time() {
    let ids: Vec<_> = (0..51)
        .map(|n| InstanceId::parse(&format!("i-{n:08x}")).unwrap_or_else(|error| unreachable!("{error}")))
        .collect();
    let member = |id: &InstanceId| {
        instances(&format!(
            "<member><InstanceId>{id}</InstanceId><AutoScalingGroupName>g</AutoScalingGroupName>\
             <AvailabilityZone>z</AvailabilityZone><InstanceType>t</InstanceType>\
             <LifecycleState>InService</LifecycleState></member>"
        ))
    };
    let endpoint = Endpoint::with([member(&ids[7]), member(&ids[50])]);
    let found = Groups::new(&endpoint.configuration()).memberships(&ids).await;
    let found = found.unwrap_or_else(|error| unreachable!("{error}"));
    let mut known: Vec<_> = found.keys().map(InstanceId::as_str).collect();
    known.sort_unstable();
    assert_eq!(known, ["i-00000007", "i-00000032"]);
    let requests = endpoint.requests();
    assert!(requests[0].contains("InstanceIds.member.50="), "{}", requests[0]);
    assert!(!requests[0].contains("InstanceIds.member.51="), "{}", requests[0]);
    assert!(
        requests[1].contains("InstanceIds.member.1=i-00000032"),
        "{}",
        requests[1]
    );
}

#[tokio::test]
async fn an_answer_that_lacks_what_is_needed_is_a_defect_and_says_what() {
    let endpoint = Endpoint::with([instances(&format!(
        "<member><InstanceId>{ID}</InstanceId><AutoScalingGroupName>g</AutoScalingGroupName></member>"
    ))]);
    let error = Groups::new(&endpoint.configuration())
        .membership(&instance())
        .await
        .expect_err("no zone");
    assert_eq!(error.name, ErrorName::Defect);
    assert!(error.message.contains("AvailabilityZone"), "{error}");
}

#[tokio::test]
async fn hooks_are_read_with_their_timeouts() {
    let endpoint = Endpoint::with([Answer::ok(
        "<DescribeLifecycleHooksResponse><DescribeLifecycleHooksResult><LifecycleHooks><member>\
         <LifecycleHookName>tidegate-node-join</LifecycleHookName><AutoScalingGroupName>nvme-nodes\
         </AutoScalingGroupName><LifecycleTransition>autoscaling:EC2_INSTANCE_LAUNCHING</LifecycleTransition>\
         <HeartbeatTimeout>300</HeartbeatTimeout><GlobalTimeout>30000</GlobalTimeout>\
         <DefaultResult>ABANDON</DefaultResult></member></LifecycleHooks></DescribeLifecycleHooksResult>\
         </DescribeLifecycleHooksResponse>",
    )]);
    let hooks = Groups::new(&endpoint.configuration()).hooks("nvme-nodes").await;
    assert_eq!(
        hooks,
        Ok(vec![GroupHook {
            name: "tidegate-node-join".into(),
            transition: "autoscaling:EC2_INSTANCE_LAUNCHING".into(),
            heartbeat_seconds: 300,
            global_seconds: 30_000,
            default_result: "ABANDON".into(),
        }])
    );
}

#[tokio::test]
async fn a_group_retains_only_where_its_policy_says_so() {
    let policy = |action| {
        format!(
            "<InstanceLifecyclePolicy><RetentionTriggers><TerminateHookAbandon>{action}</TerminateHookAbandon>\
             </RetentionTriggers></InstanceLifecyclePolicy>"
        )
    };
    for (policy, retains) in [
        (policy("retain"), true),
        (policy("terminate"), false),
        (String::new(), false),
    ] {
        let endpoint = Endpoint::with([group(&policy)]);
        let answer = Groups::new(&endpoint.configuration())
            .settings("nvme-nodes")
            .await;
        let expected = GroupSettings {
            retains,
            min_size: 2,
            desired_capacity: 3,
            ..GroupSettings::default()
        };
        assert_eq!(answer, Ok(Some(expected)), "{policy}");
    }
}

#[tokio::test]
async fn a_group_tells_its_suspended_processes() {
    let processes = "<SuspendedProcesses><member><ProcessName>Launch</ProcessName><SuspensionReason>User suspended at \
                     2026-11-23T10:00:00Z</SuspensionReason></member></SuspendedProcesses>";
    let endpoint = Endpoint::with([group(processes)]);
    let answer = Groups::new(&endpoint.configuration())
        .settings("nvme-nodes")
        .await;
    let suspended = answer.map(|settings| settings.unwrap_or_default().suspended);
    assert_eq!(suspended, Ok(vec!["Launch".to_owned()]));
}

#[tokio::test]
async fn a_group_rebalances_where_it_says_so() {
    for (fields, rebalances) in [
        ("<CapacityRebalance>true</CapacityRebalance>", true),
        ("<CapacityRebalance>false</CapacityRebalance>", false),
        ("", false),
    ] {
        let endpoint = Endpoint::with([group(fields)]);
        let answer = Groups::new(&endpoint.configuration())
            .settings("nvme-nodes")
            .await;
        let answer = answer.map(|settings| settings.unwrap_or_default().rebalances);
        assert_eq!(answer, Ok(rebalances), "{fields}");
    }
}

#[tokio::test]
async fn a_group_names_its_leaving_instances() {
    let members = format!(
        "<Instances><member><InstanceId>{ID}</InstanceId><LifecycleState>Terminating:Wait</LifecycleState></member>\
         <member><InstanceId>i-0fedcba9876543210</InstanceId><LifecycleState>InService</LifecycleState></member></Instances>"
    );
    let endpoint = Endpoint::with([group(&members)]);
    let answer = Groups::new(&endpoint.configuration())
        .settings("nvme-nodes")
        .await;
    let leaving = answer.map(|settings| settings.unwrap_or_default().leaving);
    assert_eq!(leaving, Ok(vec![instance()]));
}

#[tokio::test]
async fn a_group_that_is_not_there_has_no_settings() {
    let endpoint = Endpoint::with([group("")]);
    let answer = Groups::new(&endpoint.configuration()).settings("web").await;
    assert_eq!(answer, Ok(None));
}

async fn error_of(answer: Answer) -> Result<Vec<GroupHook>, Error> {
    let endpoint = Endpoint::with([answer]);
    Groups::new(&endpoint.configuration()).hooks("g").await
}

#[tokio::test]
async fn throttling_and_errors_of_the_service_pass() {
    for answer in [
        Answer::query_error(400, "Throttling"),
        Answer::query_error(400, "RequestLimitExceeded"),
        Answer::query_error(429, "TooManyRequests"),
        Answer::query_error(500, "InternalFailure"),
        Answer::query_error(503, "ServiceUnavailable"),
        Answer::With(502, "<html>Bad gateway</html>".into()),
        Answer::Silence,
    ] {
        let error = error_of(answer.clone()).await.expect_err("an error");
        assert_eq!(error.name, ErrorName::AwsUnavailable, "{answer:?}: {error}");
        assert!(
            error.message.starts_with("autoscaling:DescribeLifecycleHooks: "),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_the_service_will_not_do_is_refused_with_its_own_words() {
    for code in ["AccessDenied", "ValidationError", "ExpiredToken"] {
        let error = error_of(Answer::query_error(403, code))
            .await
            .expect_err("an error");
        assert_eq!(error.name, ErrorName::AwsRefused, "{error}");
        assert!(error.message.contains(&format!("{code} it says")), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_a_defect() {
    let error = error_of(Answer::ok("{}")).await.expect_err("an error");
    assert_eq!(error.name, ErrorName::Defect, "{error}");
}

#[tokio::test]
async fn an_endpoint_that_is_away_is_unavailable_and_the_reason_is_told() {
    let endpoint = Endpoint::with([]);
    let error = loop {
        // The listener goes when its thread has no more answers to give.
        match Groups::new(&endpoint.configuration()).hooks("g").await {
            Err(error) if error.message.contains("refused") => break error,
            _ => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    };
    assert_eq!(error.name, ErrorName::AwsUnavailable, "{error}");
}

async fn launched(settings: &str) -> Vec<TypeSource> {
    let endpoint = Endpoint::with([group(settings)]);
    let listing = GroupListing::new(&endpoint.configuration());
    let mut types = listing
        .launched_types(&["nvme-nodes".into()])
        .await
        .unwrap_or_else(|error| unreachable!("{error}"));
    types.remove("nvme-nodes").unwrap_or_default()
}

fn template(id: &str, version: &str) -> TypeSource {
    TypeSource::LaunchTemplate {
        id: id.into(),
        version: version.into(),
    }
}

#[tokio::test]
async fn a_group_launches_what_its_launch_template_names() {
    let found = launched(
        "<LaunchTemplate><LaunchTemplateId>lt-1</LaunchTemplateId><Version>3</Version></LaunchTemplate>",
    )
    .await;
    assert_eq!(found, [template("lt-1", "3")]);
    let unversioned =
        launched("<LaunchTemplate><LaunchTemplateId>lt-1</LaunchTemplateId></LaunchTemplate>").await;
    assert_eq!(unversioned, [template("lt-1", "$Default")]);
}

#[tokio::test]
async fn a_mixed_group_launches_the_types_that_win_over_its_template() {
    let base = "<LaunchTemplateSpecification><LaunchTemplateId>lt-1</LaunchTemplateId><Version>1</Version>\
                </LaunchTemplateSpecification>";
    let mixed = |overrides: &str| {
        format!(
            "<MixedInstancesPolicy><LaunchTemplate>{base}<Overrides>{overrides}</Overrides></LaunchTemplate>\
             </MixedInstancesPolicy>"
        )
    };
    assert_eq!(launched(&mixed("")).await, [template("lt-1", "1")]);
    let overrides = "<member><InstanceType>m5d.4xlarge</InstanceType></member>\
                     <member><LaunchTemplateSpecification><LaunchTemplateId>lt-2</LaunchTemplateId><Version>9</Version>\
                     </LaunchTemplateSpecification></member>\
                     <member><InstanceRequirements><VCpuCount><Min>8</Min></VCpuCount></InstanceRequirements></member>";
    assert_eq!(
        launched(&mixed(overrides)).await,
        [TypeSource::Type("m5d.4xlarge".into()), template("lt-2", "9")],
        "what only attributes describe has no type"
    );
}

#[tokio::test]
async fn many_groups_are_asked_for_fifty_at_a_time() {
    let names: Vec<_> = (0..51).map(|number| format!("group-{number}")).collect();
    let hooks = || {
        Answer::ok(
            "<DescribeLifecycleHooksResponse><DescribeLifecycleHooksResult><LifecycleHooks></LifecycleHooks>\
             </DescribeLifecycleHooksResult></DescribeLifecycleHooksResponse>",
        )
    };
    let endpoint = Endpoint::with([group(""), group(""), hooks(), hooks()]);
    let found = GroupListing::new(&endpoint.configuration()).groups(&names).await;
    let found = found.unwrap_or_else(|error| unreachable!("{error}"));
    assert_eq!(found.iter().filter(|group| group.exists).count(), 2);
    assert_eq!(found.iter().filter(|group| !group.exists).count(), 51);
    let requests = endpoint.requests();
    assert!(
        requests[0].contains("AutoScalingGroupNames.member.50="),
        "{}",
        requests[0]
    );
    assert!(
        !requests[0].contains("AutoScalingGroupNames.member.51="),
        "{}",
        requests[0]
    );
    assert!(
        requests[1].contains("AutoScalingGroupNames.member.1=group-50"),
        "{}",
        requests[1]
    );
}

#[tokio::test]
async fn a_heartbeat_tells_whether_a_hook_waits() {
    let hook = WaitingHook {
        group: "nvme-nodes".into(),
        name: "tidegate-node-drain".into(),
    };
    let refused = |message: &str| {
        Answer::With(
            400,
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>{message}</Message>\
                 </Error><RequestId>r</RequestId></ErrorResponse>"
            ),
        )
    };
    let endpoint = Endpoint::with([
        Answer::ok(
            "<RecordLifecycleActionHeartbeatResponse><RecordLifecycleActionHeartbeatResult/>\
             </RecordLifecycleActionHeartbeatResponse>",
        ),
        refused("No active Lifecycle Action found with instance ID i-0123456789abcdef0"),
        refused("AutoScalingGroup name not found"),
    ]);
    let listing = GroupListing::new(&endpoint.configuration());
    assert_eq!(listing.waits(&hook, ID).await, Ok(true));
    assert_eq!(listing.waits(&hook, ID).await, Ok(false));
    let error = listing.waits(&hook, ID).await.expect_err("refused");
    assert_eq!(error.name, ErrorName::AwsRefused);
    assert!(error.message.contains("name not found"), "{error}");
}
