//! What is read from Auto Scaling and Step Functions to decide whose turn it is, and whether launches fail alike.

mod endpoint;

use endpoint::{Answer, Endpoint};
use serde_json::json;
use tidegate_aws::{Groups, JoinHistory, ListedDrains};
use tidegate_domain::launches::{EndedJoins, LaunchTemplates};
use tidegate_domain::subject::InstanceId;
use tidegate_domain::turn::{GroupSize, GroupSizes, RunningDrains};

const ID: &str = "i-0123456789abcdef0";
const MACHINE: &str = "arn:aws:states:us-west-2:123456789012:stateMachine:tidegate-node-drain";

fn instance() -> InstanceId {
    InstanceId::parse(ID).unwrap_or_else(|error| unreachable!("{error}"))
}

fn group(fields: &str) -> Answer {
    Answer::ok(&format!(
        "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups><member>\
         <AutoScalingGroupName>nvme-nodes</AutoScalingGroupName>{fields}</member></AutoScalingGroups>\
         </DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
    ))
}

#[tokio::test]
async fn a_groups_size_is_read_with_its_instances() {
    let endpoint = Endpoint::with([group(&format!(
        "<DesiredCapacity>3</DesiredCapacity><Instances><member><InstanceId>{ID}</InstanceId>\
         <LifecycleState>Terminating:Wait</LifecycleState></member></Instances>"
    ))]);
    let size = Groups::new(&endpoint.configuration())
        .group_size("nvme-nodes")
        .await;
    let expected = GroupSize {
        desired: 3,
        members: vec![(instance(), "Terminating:Wait".to_owned())],
    };
    assert_eq!(size, Ok(expected));
}

#[tokio::test]
async fn a_group_that_is_gone_has_no_size() {
    let endpoint = Endpoint::with([group("<DesiredCapacity>3</DesiredCapacity>")]);
    let size = Groups::new(&endpoint.configuration()).group_size("another").await;
    assert_eq!(size, Ok(GroupSize::default()));
}

#[tokio::test]
async fn an_instance_names_its_launch_template_and_version() {
    let member = |template: &str| {
        Answer::ok(&format!(
            "<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult><AutoScalingInstances><member>\
             <InstanceId>{ID}</InstanceId>{template}</member></AutoScalingInstances>\
             </DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>"
        ))
    };
    let endpoint = Endpoint::with([
        member(
            "<LaunchTemplate><LaunchTemplateId>lt-1</LaunchTemplateId><LaunchTemplateName>nvme\
             </LaunchTemplateName><Version>7</Version></LaunchTemplate>",
        ),
        member(""),
    ]);
    let groups = Groups::new(&endpoint.configuration());
    assert_eq!(
        groups.launch_template(&instance()).await,
        Ok(Some("lt-1:7".to_owned()))
    );
    assert_eq!(groups.launch_template(&instance()).await, Ok(None));
}

fn listed(name: &str, next: Option<&str>) -> Answer {
    let mut answer = json!({ "executions": [{
        "executionArn": format!("arn:{name}"), "stateMachineArn": MACHINE, "name": name, "status": "RUNNING",
        "startDate": 1_796_040_000.5, "stopDate": 1_796_040_100.0,
    }] });
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Answer::ok(&answer.to_string())
}

#[tokio::test]
async fn running_drains_are_listed_page_by_page() {
    let endpoint = Endpoint::with([listed("a", Some("more")), listed("b", None)]);
    let drains = ListedDrains::new(&endpoint.configuration());
    let running = drains.running_drains(MACHINE).await.expect("listed");
    let names: Vec<_> = running.iter().map(|drain| drain.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(running[0].started_at.as_millisecond(), 1_796_040_000_500);
    let request = &endpoint.requests()[0];
    assert!(
        request.contains(r#""statusFilter":"RUNNING""#) && request.contains(MACHINE),
        "{request}"
    );
}

#[tokio::test]
async fn the_history_of_joins_is_what_they_ended_with() {
    let output =
        json!({ "outcome": "joined", "instanceId": ID, "autoScalingGroup": "nvme-nodes", "failure": null });
    let described = |output: &str| {
        Answer::ok(
            &json!({
                "executionArn": "arn:a", "stateMachineArn": MACHINE, "status": "SUCCEEDED", "startDate": 1,
                "output": output,
            })
            .to_string(),
        )
    };
    let endpoint = Endpoint::with([
        listed("a", None),
        described(&output.to_string()),
        described("no JSON"),
        Answer::With(
            400,
            r#"{"__type":"ExecutionDoesNotExist","message":"gone"}"#.into(),
        ),
    ]);
    let history = JoinHistory::new(&endpoint.configuration());
    let joins = history.ended_joins(MACHINE, 50).await.expect("listed");
    assert_eq!(joins[0].ended_at.as_second(), 1_796_040_100);
    let ended = history
        .ended_join("arn:a")
        .await
        .expect("described")
        .expect("an output");
    assert_eq!((ended.outcome.as_str(), ended.failure), ("joined", None));
    assert_eq!(history.ended_join("arn:a").await, Ok(None));
    assert_eq!(history.ended_join("arn:a").await, Ok(None));
    assert!(endpoint.requests()[0].contains(r#""maxResults":50"#));
}
