//! An execution that is about several instances: which of them, and what an execution for each is told.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use crate::ports::Membership;
use crate::resolve::{Direction, Scope};
use crate::subject::InstanceId;
use crate::trigger::{Named, Trigger};

/// Instances that one execution starts executions for. The history of a Standard execution holds 25,000 events, and a
/// start that is tried again and again makes about 30.
pub const MOST_AT_ONCE: usize = 500;

/// Characters of an execution's name (80) less those of an instance id and a hyphen.
const LONGEST_EVENT_ID: usize = 60;

/// The input of the execution for one of them: as a person would type it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch that may be typed by itself"
)]
pub struct Input {
    /// The instance.
    pub instance_id: InstanceId,
    /// How long it may take, where the trigger says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u32>,
    /// Whether the drained instance is ended, where a person said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminate: Option<bool>,
    /// Whether the group replaces it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// Whether EC2 takes the instance away at the deadline.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reclaimed: bool,
    /// Whether it only plans.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plan: bool,
    /// Whether it waits until the group can spare the instance.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_turn: bool,
    /// When AWS acts on the instance, where its drain can wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
    /// Whether an event is the reason, and no person.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub from_event: bool,
}

impl Input {
    /// What the execution for that trigger is told; none where it names no instance.
    #[must_use]
    pub fn of(scope: &Scope, direction: Direction, started_at: Timestamp, trigger: &Trigger) -> Option<Self> {
        let wishes = trigger.wishes();
        let limit = scope.limit_for(direction, trigger, started_at);
        let left = |deadline: Timestamp| {
            let seconds = deadline.duration_since(started_at).as_secs().max(1);
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX).min(limit);
            Some(seconds).filter(|seconds| *seconds != scope.limit_seconds(direction))
        };
        // How long it may take counts from when its turn comes.
        let before = trigger.before();
        let deadline = trigger.deadline(started_at).filter(|_| before.is_none());
        Some(Self {
            instance_id: trigger.instance()?.clone(),
            deadline_seconds: wishes.deadline_seconds.or_else(|| deadline.and_then(left)),
            terminate: wishes.terminate,
            replace: trigger.replaces(),
            reclaimed: trigger.reclaimed(),
            plan: wishes.plan,
            in_turn: trigger.in_turn(),
            before,
            from_event: !trigger.by_hand(),
        })
    }
}

/// An event's id as the beginning of an execution's name: only what such a name may hold, and no longer than leaves
/// room for an instance id. None where nothing is left of it.
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>
#[must_use]
pub fn name_part(event_id: &str) -> Option<String> {
    let part: String = event_id
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .take(LONGEST_EVENT_ID)
        .collect();
    (!part.is_empty()).then_some(part)
}

/// The triggers that concern us, one for each instance or node, and why the others do not.
#[must_use]
pub fn sort(
    scope: &Scope,
    direction: Direction,
    started_at: Timestamp,
    triggers: Vec<Trigger>,
) -> (Vec<Trigger>, Vec<String>) {
    let (mut ours, mut reasons) = (Vec::<Trigger>::new(), Vec::new());
    for trigger in triggers {
        if let Some(reason) = scope.foreign(direction, &trigger) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
            continue;
        }
        ours.push(trigger);
    }
    (one_each(ours, started_at), reasons)
}

/// One trigger for each instance or node: the one that says most, in the place of the first.
#[must_use]
pub fn one_each(triggers: Vec<Trigger>, started_at: Timestamp) -> Vec<Trigger> {
    let mut places = HashMap::new();
    let mut kept = Vec::<Trigger>::new();
    for trigger in triggers {
        let key = (
            trigger.instance().cloned(),
            trigger.node_name().map(ToOwned::to_owned),
        );
        match places.get(&key) {
            None => {
                places.insert(key, kept.len());
                kept.push(trigger);
            }
            Some(&place) => {
                let known: &mut Trigger = &mut kept[place];
                if trigger.weight(started_at) < known.weight(started_at) {
                    *known = trigger;
                }
            }
        }
    }
    kept
}

/// Some reasons as one sentence: the first three, and how many more there are.
#[must_use]
pub fn summary(reasons: &[String]) -> String {
    const TOLD: usize = 3;
    let told = reasons.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>();
    match reasons.len() {
        0 => "there is nothing in it that could be about a node".to_owned(),
        1..=TOLD => told.join("; "),
        all => format!("{}; and {} more like these", told.join("; "), all - TOLD),
    }
}

/// Each node by its name becomes the instance of that name. `found` are the instances of our groups that have one of
/// the names; a name that is not exactly one of them is told of.
#[must_use]
pub fn by_instance(triggers: Vec<Trigger>, found: &[(String, InstanceId)]) -> (Vec<Trigger>, Vec<String>) {
    let (mut ours, mut reasons) = (Vec::new(), Vec::new());
    for trigger in triggers {
        let Trigger::ByHand(Named::Node(name), wishes) = trigger else {
            ours.push(trigger);
            continue;
        };
        let mut instances = found
            .iter()
            .filter(|(known, _)| *known == name)
            .map(|(_, id)| id.clone());
        match (instances.next(), instances.next()) {
            (None, _) => reasons.push(format!(
                "no instance of this cluster's groups has the private DNS name {name}, which on EKS is its node's name"
            )),
            (Some(instance), None) => ours.push(Trigger::ByHand(Named::Instance(instance), wishes)),
            (Some(one), Some(other)) => reasons.push(format!(
                "instances {one} and {other} both have the private DNS name {name}: give the instance instead"
            )),
        }
    }
    (ours, reasons)
}

/// The triggers of instances that are in our groups, and why the others are left out.
#[must_use]
pub fn members(
    scope: &Scope,
    triggers: Vec<Trigger>,
    memberships: &BTreeMap<InstanceId, Membership>,
) -> (Vec<Trigger>, Vec<String>) {
    let (mut ours, mut reasons) = (Vec::new(), Vec::new());
    for trigger in triggers {
        let Some(instance) = trigger.instance() else {
            continue;
        };
        match memberships.get(instance) {
            Some(membership) if scope.groups.contains(&membership.group) && ours.len() < MOST_AT_ONCE => {
                ours.push(trigger);
            }
            Some(membership) if scope.groups.contains(&membership.group) => reasons.push(format!(
                "{instance} is one too many: an execution starts {MOST_AT_ONCE} at most, and this one must be started \
                 by hand"
            )),
            Some(membership) => reasons.push(format!(
                "instance {instance} belongs to group {}, which is none of this cluster's groups ({})",
                membership.group,
                scope.groups.join(", ")
            )),
            None => reasons.push(format!("instance {instance} is in no Auto Scaling group")),
        }
    }
    (ours, reasons)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::tests::scope;
    use crate::trigger::{LifecycleAction, News, Notice, Place, Wishes};

    fn instance(last: u32) -> InstanceId {
        InstanceId::parse(&format!("i-{last:08x}")).expect("valid")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).expect("valid")
    }

    fn notice(last: u32, news: News, at: Option<Timestamp>, begins: Option<Timestamp>) -> Trigger {
        Trigger::Notice(Notice {
            instance: instance(last),
            news,
            at,
            begins,
        })
    }

    fn state_change(state: &str) -> Trigger {
        notice(1, News::StateChange(state.into()), None, None)
    }

    fn drain_action() -> Trigger {
        Trigger::LifecycleAction(LifecycleAction {
            instance: instance(1),
            group: "nvme".into(),
            hook: "tidegate-node-drain".into(),
            transition: Direction::Drain.transition().into(),
            origin: Place::Group,
            destination: Place::Ec2,
        })
    }

    fn by_hand(named: Named) -> Trigger {
        Trigger::ByHand(named, Wishes::default())
    }

    fn by_id(last: u32) -> Trigger {
        by_hand(Named::Instance(instance(last)))
    }

    fn by_name(name: &str) -> Trigger {
        by_hand(Named::Node(name.into()))
    }

    fn member(group: &str) -> Membership {
        Membership {
            group: group.into(),
            zone: "us-west-2a".into(),
            instance_type: "m5d.4xlarge".into(),
            lifecycle_state: "InService".into(),
        }
    }

    fn input(trigger: &Trigger) -> serde_json::Value {
        let input = Input::of(&scope(), Direction::Drain, at(0), trigger).expect("an instance");
        serde_json::to_value(input).expect("JSON")
    }

    #[test]
    fn the_execution_for_one_is_told_what_the_trigger_of_all_said() {
        let wishes = Wishes {
            deadline_seconds: Some(600),
            terminate: Some(false),
            plan: true,
            ..Wishes::default()
        };
        for (trigger, expected) in [
            (by_id(1), serde_json::json!({ "instanceId": "i-00000001" })),
            (
                Trigger::ByHand(Named::Instance(instance(1)), wishes),
                serde_json::json!({ "instanceId": "i-00000001", "deadlineSeconds": 600, "terminate": false, "plan": true }),
            ),
            (
                state_change("stopping"),
                serde_json::json!({ "instanceId": "i-00000001", "fromEvent": true }),
            ),
            (
                notice(1, News::SpotInterruption, Some(at(-20)), None),
                serde_json::json!({ "instanceId": "i-00000001", "deadlineSeconds": 100, "reclaimed": true, "fromEvent": true }),
            ),
            (
                notice(1, News::SpotInterruption, Some(at(-200)), None),
                serde_json::json!({ "instanceId": "i-00000001", "deadlineSeconds": 1, "reclaimed": true, "fromEvent": true }),
            ),
            (
                notice(1, News::ScheduledChange("X".into()), None, Some(at(900_000))),
                serde_json::json!({
                    "instanceId": "i-00000001", "replace": true, "inTurn": true, "before": "1970-01-22T23:46:40Z",
                    "fromEvent": true,
                }),
            ),
            (
                notice(1, News::ScheduledChange("X".into()), None, Some(at(-1))),
                serde_json::json!({
                    "instanceId": "i-00000001", "replace": true, "inTurn": true, "before": "1970-01-12T13:46:39Z",
                    "fromEvent": true,
                }),
            ),
            (
                notice(1, News::DegradedStore("X".into()), Some(at(0)), None),
                serde_json::json!({ "instanceId": "i-00000001", "replace": true, "inTurn": true, "fromEvent": true }),
            ),
            (
                notice(1, News::CapacityInterruption, Some(at(0)), Some(at(700))),
                serde_json::json!({ "instanceId": "i-00000001", "deadlineSeconds": 700, "reclaimed": true, "fromEvent": true }),
            ),
        ] {
            assert_eq!(input(&trigger), expected, "{trigger}");
        }
        assert_eq!(Input::of(&scope(), Direction::Drain, at(0), &by_name("a")), None);
    }

    #[test]
    fn an_event_id_becomes_part_of_a_name_that_step_functions_takes() {
        let uuid = "12345678-1234-1234-1234-123456789012";
        assert_eq!(name_part(uuid).as_deref(), Some(uuid));
        assert_eq!(
            name_part("a b/c:d*e_f-g\u{7}\u{e9}").as_deref(),
            Some("abcde_f-g")
        );
        assert_eq!(name_part(&"x".repeat(99)).map(|part| part.len()), Some(60));
        assert_eq!(name_part("?*"), None);
        assert_eq!(name_part(""), None);
        assert_eq!("i-0123456789abcdef0".len() + 1 + LONGEST_EVENT_ID, 80);
    }

    #[test]
    fn a_nodes_name_becomes_its_instance() {
        let found = [("a".to_owned(), instance(1)), ("b".to_owned(), instance(2))];
        let (ours, reasons) = by_instance(vec![by_name("b"), by_id(7), by_name("a")], &found);
        assert_eq!(ours, [by_id(2), by_id(7), by_id(1)]);
        assert!(reasons.is_empty());
    }

    #[test]
    fn a_name_of_no_instance_or_of_two_is_told_of_and_never_guessed() {
        let found = [("a".to_owned(), instance(1)), ("a".to_owned(), instance(2))];
        let (ours, reasons) = by_instance(vec![by_name("a"), by_name("c")], &found);
        assert_eq!(ours, []);
        assert!(reasons[0].contains("i-00000001 and i-00000002"), "{}", reasons[0]);
        assert!(reasons[1].contains("private DNS name c"), "{}", reasons[1]);
    }

    #[test]
    fn only_instances_of_our_groups_are_started_for() {
        let memberships = BTreeMap::from([(instance(1), member("nvme")), (instance(2), member("other"))]);
        let (ours, reasons) = members(&scope(), vec![by_id(1), by_id(2), by_id(3)], &memberships);
        assert_eq!(ours, [by_id(1)]);
        assert!(reasons[0].contains("group other"), "{}", reasons[0]);
        assert!(reasons[1].contains("no Auto Scaling group"), "{}", reasons[1]);
    }

    #[test]
    fn no_more_are_started_for_than_a_history_holds() {
        let count = u32::try_from(MOST_AT_ONCE + 2).expect("small");
        let memberships = (0..count).map(|n| (instance(n), member("nvme"))).collect();
        let (ours, reasons) = members(&scope(), (0..count).map(by_id).collect(), &memberships);
        assert_eq!(ours.len(), MOST_AT_ONCE);
        assert_eq!(reasons.len(), 2);
        assert!(
            reasons[0].starts_with("i-000001f4 is one too many"),
            "{}",
            reasons[0]
        );
    }

    #[test]
    fn of_two_triggers_of_one_instance_the_one_with_the_hook_counts_then_the_earlier_deadline() {
        let spot = notice(1, News::SpotInterruption, Some(at(0)), None);
        let late = notice(1, News::SpotInterruption, Some(at(60)), None);
        let hook = drain_action();
        let stops = state_change("stopping");
        let other = notice(2, News::SpotInterruption, Some(at(0)), None);
        for (given, kept) in [
            (vec![stops.clone(), spot.clone()], vec![spot.clone()]),
            (vec![late.clone(), spot.clone(), stops], vec![spot.clone()]),
            (vec![spot.clone(), hook.clone()], vec![hook.clone()]),
            (vec![hook.clone(), spot.clone()], vec![hook.clone()]),
            (
                vec![late.clone(), other.clone(), hook.clone()],
                vec![hook, other.clone()],
            ),
            (vec![other.clone(), late.clone()], vec![other, late]),
        ] {
            assert_eq!(one_each(given, at(0)), kept);
        }
    }

    #[test]
    fn nodes_are_told_apart_by_their_names() {
        let node = by_name;
        assert_eq!(
            one_each(vec![node("a"), node("b"), node("a")], at(0)),
            [node("a"), node("b")]
        );
    }

    #[test]
    fn what_is_sorted_out_is_told_once_for_each_reason() {
        let ours = by_id(3);
        let triggers = vec![
            state_change("running"),
            ours.clone(),
            state_change("running"),
            Trigger::NotOurs("nothing".into()),
        ];
        let (kept, reasons) = sort(&scope(), Direction::Drain, at(0), triggers);
        assert_eq!(kept, [ours]);
        assert_eq!(
            reasons,
            ["instance i-00000001 is running, which drains nothing", "nothing"]
        );
    }

    #[test]
    fn a_summary_names_three_reasons_and_counts_the_rest() {
        let reasons = |count: usize| (1..=count).map(|n| format!("r{n}")).collect::<Vec<_>>();
        assert_eq!(
            summary(&reasons(0)),
            "there is nothing in it that could be about a node"
        );
        assert_eq!(summary(&reasons(1)), "r1");
        assert_eq!(summary(&reasons(3)), "r1; r2; r3");
        assert_eq!(summary(&reasons(5)), "r1; r2; r3; and 2 more like these");
    }
}
