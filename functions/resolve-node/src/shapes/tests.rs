//! Each shape in which an execution may be told why it was started.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tidegate_domain::subject::InstanceId;
use tidegate_domain::trigger::{LifecycleAction, Named, News, Notice, Place, Trigger, Wishes};

use super::{Input, read};

const ONE: &str = "i-1234567890abcdef0";
const OTHER: &str = "i-0fedcba9876543210";

fn sample(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../samples/events/{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

fn triggers(input: &Value) -> Vec<Trigger> {
    read(input).expect("understood").triggers
}

fn only(input: &Value) -> Trigger {
    let mut triggers = triggers(input);
    assert_eq!(triggers.len(), 1, "{triggers:#?}");
    triggers.remove(0)
}

/// Why an input is no concern of ours.
fn not_ours(input: &Value) -> String {
    match only(input) {
        Trigger::NotOurs(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn refused(input: &Value) -> String {
    read(input).expect_err("refused").message
}

fn instance(id: &str) -> InstanceId {
    InstanceId::parse(id).expect("valid")
}

fn draining() -> LifecycleAction {
    LifecycleAction {
        instance: instance(ONE),
        group: "nvme-nodes".into(),
        hook: "tidegate-node-drain".into(),
        transition: "autoscaling:EC2_INSTANCE_TERMINATING".into(),
        origin: Place::Group,
        destination: Place::Ec2,
    }
}

fn joining(destination: Place) -> LifecycleAction {
    LifecycleAction {
        hook: "tidegate-node-join".into(),
        transition: "autoscaling:EC2_INSTANCE_LAUNCHING".into(),
        origin: Place::Ec2,
        destination,
        ..draining()
    }
}

fn notice(id: &str, news: News, begins: Option<&str>) -> Trigger {
    Trigger::Notice(Notice {
        instance: instance(id),
        news,
        at: "2026-01-15T08:30:00Z".parse().ok(),
        begins: begins.map(|begins| begins.parse().expect("a time")),
    })
}

fn by_hand(named: Named) -> Trigger {
    Trigger::ByHand(named, Wishes::default())
}

#[test]
fn a_launch_action_is_a_join() {
    let read = only(&sample("instance-launch-lifecycle-action"));
    assert_eq!(read, Trigger::LifecycleAction(joining(Place::Group)));
}

#[test]
fn a_terminate_action_is_a_drain() {
    let read = only(&sample("instance-terminate-lifecycle-action"));
    assert_eq!(read, Trigger::LifecycleAction(draining()));
}

#[test]
fn an_action_that_leads_into_a_warm_pool_says_so() {
    let read = only(&sample("warm-pool-launch-lifecycle-action"));
    assert_eq!(read, Trigger::LifecycleAction(joining(Place::WarmPool)));
    let mut back = sample("instance-terminate-lifecycle-action");
    back["detail"]["Destination"] = json!("WarmPool");
    let Trigger::LifecycleAction(back) = only(&back) else {
        panic!("an action");
    };
    assert_eq!((back.origin, back.destination), (Place::Group, Place::WarmPool));
}

#[test]
fn a_spot_warning_has_the_time_of_the_event_itself() {
    let read = only(&sample("spot-interruption-warning"));
    assert_eq!(read, notice(ONE, News::SpotInterruption, None));
}

#[test]
fn a_capacity_warning_names_when_it_ends() {
    let sample = sample("capacity-reservation-interruption-warning");
    let expected = notice(ONE, News::CapacityInterruption, Some("2026-01-15T08:40:00Z"));
    assert_eq!(only(&sample), expected);
    let mut renamed = sample;
    renamed["detail-type"] = json!("EC2 Interruptible Capacity Reservation Instance Interruption Warning");
    assert_eq!(only(&renamed), expected);
}

/// As the user guide spells it: `detail_type`, one text for the list of resources, another field for the id.
#[test]
fn a_capacity_warning_as_the_guide_spells_it() {
    let mut event = sample("capacity-reservation-interruption-warning");
    let fields = event.as_object_mut().expect("an object");
    let kind = fields.remove("detail-type").expect("a type");
    fields.insert("detail_type".to_owned(), kind);
    fields.insert("resources".to_owned(), json!("[Instance ARN]"));
    let ends = Some("2026-01-15T08:40:00Z");
    assert_eq!(only(&event), notice(ONE, News::CapacityInterruption, ends));
    assert_eq!(only(&json!({ "Message": event.to_string() })), only(&event));
}

#[test]
fn the_end_of_a_capacity_block_names_no_instance() {
    let reason = not_ours(&json!({
        "detail-type": "Capacity Block Reservation Expiration Warning", "source": "aws.ec2",
        "detail": { "capacity-reservation-id": "cr-0123456789abcdef0", "end-date": "2026-01-15T09:00:00Z" },
    }));
    assert!(reason.contains("each of its instances gets"), "{reason}");
}

#[test]
fn a_degraded_store_is_about_the_instance_it_affects() {
    let mut event = sample("health-degraded-store");
    let code = "AWS_EC2_INSTANCE_STORE_DRIVE_PERFORMANCE_DEGRADED";
    let expected = notice(ONE, News::DegradedStore(code.into()), None);
    assert_eq!(only(&event), expected);
    // As the bus of a backup region forwards it.
    event["region"] = json!("us-east-1");
    event["detail"]["backupEvent"] = json!("true");
    assert_eq!(only(&event), expected);
}

/// What a rule sends whose target has the input path `$.detail`.
#[test]
fn a_detail_alone_is_read_where_it_says_enough() {
    let detail = |name| sample(name)["detail"].clone();
    let untimed = |news, begins: Option<&str>| {
        Trigger::Notice(Notice {
            instance: instance(ONE),
            news,
            at: None,
            begins: begins.map(|begins| begins.parse().expect("a time")),
        })
    };
    let code = "AWS_EC2_INSTANCE_STORE_DRIVE_PERFORMANCE_DEGRADED";
    for (name, expected) in [
        ("spot-interruption-warning", untimed(News::SpotInterruption, None)),
        (
            "capacity-reservation-interruption-warning",
            untimed(News::CapacityInterruption, Some("2026-01-15T08:40:00Z")),
        ),
        (
            "instance-state-change",
            untimed(News::StateChange("shutting-down".into()), None),
        ),
        (
            "health-degraded-store",
            untimed(News::DegradedStore(code.into()), None),
        ),
        (
            "instance-terminate-lifecycle-action",
            Trigger::LifecycleAction(draining()),
        ),
    ] {
        let detail = detail(name);
        for input in [
            detail.clone(),
            json!([detail]),
            json!({ "detail": detail }),
            json!({ "Type": "Notification", "MessageId": "m-1", "Message": detail.to_string() }),
            json!({ "Records": [{ "messageId": "m-1", "body": detail.to_string() }] }),
        ] {
            assert_eq!(only(&input), expected, "{input}");
        }
    }
    assert_eq!(triggers(&detail("health-scheduled-change")).len(), 2);
}

#[test]
fn a_detail_that_says_too_little_is_ignored() {
    let recommended = sample("rebalance-recommendation")["detail"].clone();
    for input in [
        recommended.clone(),
        json!([recommended]),
        json!({ "Message": recommended.to_string() }),
        json!({ "instance-id": "web-1", "instance-action": "terminate" }),
        json!({ "instance-ids": [ONE] }),
        json!({ "node-name": "ip-10-0-1-7", "re-place": true }),
        json!({ "capacity-reservation-id": "cr-1", "end-date": "2026-01-15T09:00:00Z" }),
    ] {
        not_ours(&input);
    }
    assert!(not_ours(&recommended).contains("must send the whole event"));
}

#[test]
fn a_rebalance_recommendation_is_news_of_an_instance() {
    let read = only(&sample("rebalance-recommendation"));
    assert_eq!(read, notice(ONE, News::RebalanceRecommendation, None));
}

#[test]
fn a_state_change_tells_the_state() {
    let read = only(&sample("instance-state-change"));
    assert_eq!(read, notice(ONE, News::StateChange("shutting-down".into()), None));
}

#[test]
fn a_scheduled_change_is_about_every_instance_that_it_affects() {
    let news = || News::ScheduledChange("AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED".into());
    let begins = Some("2026-01-30T08:30:00Z");
    assert_eq!(
        triggers(&sample("health-scheduled-change")),
        [notice(ONE, news(), begins), notice(OTHER, news(), begins)]
    );
}

#[test]
fn an_affected_instance_may_be_named_by_its_arn_and_what_is_no_instance_is_told_of() {
    let mut event = sample("health-scheduled-change");
    event["detail"]["affectedEntities"] = json!([
        { "entityValue": format!("arn:aws:ec2:us-west-2:123456789012:instance/{ONE}") },
        { "entityValue": "vol-0123456789abcdef0" },
        { "entityValue": OTHER, "status": "RESOLVED" },
    ]);
    let read = triggers(&event);
    assert_eq!(read[0].instance(), Some(&instance(ONE)));
    for (trigger, words) in [
        (&read[1], "vol-0123456789abcdef0"),
        (&read[2], "no longer affected"),
    ] {
        let Trigger::NotOurs(reason) = trigger else {
            panic!("{trigger:?}");
        };
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn other_events_of_health_drain_nothing() {
    for (field, value, words) in [
        ("service", "RDS", "\"RDS\""),
        ("eventTypeCategory", "issue", "only scheduled changes"),
        (
            "eventTypeCategory",
            "accountNotification",
            "only scheduled changes",
        ),
        ("statusCode", "closed", "is over"),
    ] {
        let mut event = sample("health-scheduled-change");
        event["detail"][field] = json!(value);
        let reason = not_ours(&event);
        assert!(reason.contains(words), "{reason}");
    }
    let mut event = sample("health-scheduled-change");
    event["detail"]["affectedEntities"] = json!([]);
    assert!(not_ours(&event).contains("names no instance"));
}

#[test]
fn a_test_notification_is_told_of_in_either_field() {
    let in_event = sample("test-notification");
    let mut in_transition = sample("notification-body");
    in_transition["LifecycleTransition"] = json!("autoscaling:TEST_NOTIFICATION");
    for input in [in_event, in_transition] {
        let reason = not_ours(&input);
        assert!(
            reason.contains("test notification of group \"nvme-nodes\""),
            "{reason}"
        );
    }
}

#[test]
fn the_flat_body_that_auto_scaling_sends_to_queues_is_an_action() {
    let read = only(&sample("notification-body"));
    assert_eq!(read, Trigger::LifecycleAction(draining()));
}

#[test]
fn a_body_is_taken_out_of_every_envelope() {
    let body = sample("notification-body");
    let text = body.to_string();
    let sns = sample("sns-notification");
    for input in [
        sns.clone(),
        json!({ "Records": [{ "messageId": "m-1", "body": text }] }),
        json!({ "Records": [{ "messageId": "m-1", "body": sns.to_string() }] }),
        json!({ "Records": [{ "EventSource": "aws:sns", "Sns": sns }] }),
        json!([{ "messageId": "m-1", "body": text }]),
        json!({ "Messages": [], "MessageId": "m-1", "Body": text }),
    ] {
        assert_eq!(only(&input), Trigger::LifecycleAction(draining()), "{input}");
    }
}

#[test]
fn an_event_of_eventbridge_is_taken_out_of_a_queues_record_too() {
    let record = |name| json!({ "body": sample(name).to_string() });
    let records = json!({ "Records": [record("spot-interruption-warning"), record("instance-terminate-lifecycle-action")] });
    let read = triggers(&records);
    assert_eq!(read[0], notice(ONE, News::SpotInterruption, None));
    assert_eq!(read[1], Trigger::LifecycleAction(draining()));
}

#[test]
fn an_instance_refresh_comes_as_its_actions() {
    let reason = not_ours(&sample("instance-refresh-started"));
    assert!(
        reason.contains("each launch and each end of it comes as a lifecycle action"),
        "{reason}"
    );
}

#[test]
fn what_nobody_understands_is_no_failure() {
    let nested = |inner: Value| json!({ "Message": inner.to_string() });
    let deep = (0..9).fold(json!({ "a": 1 }), |inner, _| nested(inner));
    for (input, words) in [
        (
            json!({ "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} }),
            "no concern",
        ),
        (json!({ "detail-type": 7 }), "cannot be read"),
        (json!({ "some": "thing", "else": 1 }), "with the fields"),
        (json!({ "Message": "plain words" }), "is not JSON"),
        (
            json!({ "Event": "autoscaling:EC2_INSTANCE_LAUNCH", "AutoScalingGroupName": "g" }),
            "nothing waits",
        ),
        (
            json!({ "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING" }),
            "without AutoScalingGroupName",
        ),
        (deep, "envelopes"),
    ] {
        let reason = not_ours(&input);
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn an_event_of_a_known_type_from_somebody_else_is_not_believed() {
    for name in [
        "spot-interruption-warning",
        "instance-launch-lifecycle-action",
        "health-scheduled-change",
    ] {
        let mut event = sample(name);
        event["source"] = json!("my.own");
        assert!(not_ours(&event).contains("\"my.own\""), "{name}");
    }
}

#[test]
fn a_name_that_is_no_instance_id_is_told_of() {
    let mut spot = sample("spot-interruption-warning");
    spot["detail"]["instance-id"] = json!("web-1");
    assert!(not_ours(&spot).contains("\"web-1\""));
    let mut action = sample("notification-body");
    action["EC2InstanceId"] = json!("web-1");
    assert!(not_ours(&action).contains("\"web-1\""));
}

#[test]
fn a_person_types_an_instance_or_a_node_or_several() {
    let by_id = |id| by_hand(Named::Instance(instance(id)));
    let by_name = |name: &str| by_hand(Named::Node(name.into()));
    for (input, expected) in [
        (json!({ "instanceId": ONE }), vec![by_id(ONE)]),
        (
            json!({ "nodeName": "ip-10-0-1-7.us-west-2.compute.internal" }),
            vec![by_name("ip-10-0-1-7.us-west-2.compute.internal")],
        ),
        (
            json!({ "nodeName": format!("{ONE}.us-west-2.compute.internal") }),
            vec![by_id(ONE)],
        ),
        (
            json!({ "instanceIds": [ONE, OTHER] }),
            vec![by_id(ONE), by_id(OTHER)],
        ),
        (
            json!({ "nodeNames": ["a", "b"] }),
            vec![by_name("a"), by_name("b")],
        ),
    ] {
        assert_eq!(triggers(&input), expected, "{input}");
    }
    let wishes = Wishes {
        deadline_seconds: Some(600),
        terminate: Some(false),
        replace: true,
        reclaimed: true,
        plan: true,
        in_turn: true,
        before: "2027-01-31T06:00:00Z".parse().ok(),
        from_event: true,
    };
    let input = json!({
        "instanceId": ONE, "deadlineSeconds": 600, "terminate": false, "replace": true,
        "reclaimed": true, "plan": true, "inTurn": true, "before": "2027-01-31T06:00:00Z",
        "fromEvent": true,
    });
    assert_eq!(
        only(&input),
        Trigger::ByHand(Named::Instance(instance(ONE)), wishes)
    );
}

#[test]
fn what_a_person_types_wrong_is_one_sentence_with_field_value_and_what_was_expected() {
    for (input, words) in [
        (
            json!({}),
            "instanceId: a missing value is not an event, or an object",
        ),
        (json!("i-1"), "the input: \"i-1\" is not an event"),
        (json!([]), "the input: [] is not an event"),
        (json!(null), "the input: null is not an event"),
        (
            json!({ "instanceId": "web-1" }),
            "instanceId: \"web-1\" is not an EC2 instance id",
        ),
        (
            json!({ "instanceId": 7 }),
            "instanceId: 7 is not an EC2 instance id",
        ),
        (
            json!({ "instance_id": ONE }),
            "a field \"instance_id\" is not one that is known here",
        ),
        (
            json!({ "instanceId": ONE, "nodeName": "a" }),
            "instanceId: a value beside nodeName is not possible",
        ),
        (
            json!({ "instanceIds": [] }),
            "instanceIds: a list of 0 is not a list of 1 to 500",
        ),
        (
            json!({ "instanceIds": [ONE, "x"] }),
            "instanceIds[1]: \"x\" is not",
        ),
        (
            json!({ "nodeName": "a*" }),
            "nodeName: \"a*\" is not the name of a node",
        ),
        (
            json!({ "instanceId": ONE, "terminate": "no" }),
            "terminate: \"no\" is not true or false",
        ),
        (
            json!({ "instanceId": ONE, "plan": "yes" }),
            "plan: \"yes\" is not true or false",
        ),
        (
            json!({ "instanceId": ONE, "deadlineSeconds": 0 }),
            "deadlineSeconds: 0 is not a whole number from 1 to 172800",
        ),
        (
            json!({ "instanceId": ONE, "before": "tomorrow" }),
            "before: \"tomorrow\" is not an instant",
        ),
        (
            json!({ "instance-id": ONE, "deadlineSeconds": 5 }),
            "a field \"instance-id\"",
        ),
        (
            json!({ "instanceId": ONE, "deadline": 5 }),
            "a field \"deadline\"",
        ),
    ] {
        let message = refused(&input);
        assert!(message.contains(words), "{input}: {message}");
    }
}

#[test]
fn the_id_of_what_was_delivered_is_the_same_each_time_and_a_person_has_none() {
    let id = |input: &Value| -> Option<String> {
        let Input { event_id, .. } = read(input).expect("understood");
        event_id
    };
    for (input, expected) in [
        (
            sample("spot-interruption-warning"),
            "1e5527d7-bb36-4607-3370-4164db56a40e",
        ),
        (sample("sns-notification"), "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"),
        (
            sample("notification-body"),
            "05e5f28e-0a4b-4c1c-a1a5-7b6b4a3b8d5f",
        ),
        (
            json!({ "Records": [{ "messageId": "m-1", "body": sample("notification-body").to_string() }] }),
            "m-1",
        ),
    ] {
        assert_eq!(id(&input).as_deref(), Some(expected), "{input}");
    }
    assert_eq!(id(&json!({ "instanceId": ONE })), None);
}
