//! Several executions about one node: one does the work, with what all of them want.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tidegate_domain::outcome::{CordonOutcome, DrainOutcome, EvictOutcome, RetireOutcome};
use tidegate_domain::subject::{Hook, Subject};

use crate::account::{Account, INSTANCE, by_hand};
use crate::answers::{blocked, cordoned_with, labelled_with, own_wishes, saving};
use crate::definition::machines;
use crate::drain::{drain, terminating};
use crate::ending::Ending;
use crate::join::join;
use crate::scene::began;
use crate::template::{properties, template};

const OTHER: &str = "arn:aws:states:us-west-2:123456789012:execution:tidegate-node-drain:e-2";

fn reason() -> String {
    format!("node node-1 was taken over by execution {OTHER}")
}

fn hook() -> Hook {
    Hook {
        name: "tidegate-node-drain".to_owned(),
        heartbeat_seconds: 300,
        global_seconds: 30_000,
        default_result: "ABANDON".to_owned(),
    }
}

fn soon() -> Timestamp {
    began() + SignedDuration::from_secs(120)
}

/// A drain that finds another at work.
pub(crate) fn gave_way() -> Ending {
    terminating(true)
        .on("cordon-node", |asked| {
            let reason = format!("execution {OTHER} drains this node already");
            asked.says(CordonOutcome::Superseded, &reason, cordon_node::Facts::default())
        })
        .play()
}

/// Drains whose node another takes over while their pods, their files, their worker are waited for. In the first two the
/// other branch does not hear of it before it has ended.
fn taken_over() -> [Ending; 4] {
    [
        terminating(true).on("evict-pods", |asked| match asked.before {
            0 => blocked(asked),
            _ => asked.says(EvictOutcome::Superseded, &reason(), evict_pods::Facts::default()),
        }),
        terminating(true).on("drain-cache", |asked| match asked.before {
            0 => saving(asked),
            _ => asked.says(DrainOutcome::Superseded, &reason(), drain_cache::Facts::default()),
        }),
        terminating(true)
            .on("evict-pods", |asked| {
                asked.says(EvictOutcome::Superseded, &reason(), evict_pods::Facts::default())
            })
            .on("drain-cache", |asked| {
                asked.says(DrainOutcome::Superseded, &reason(), drain_cache::Facts::default())
            }),
        terminating(true).on("retire-worker", |asked| {
            asked.says(
                RetireOutcome::Superseded,
                &reason(),
                retire_worker::Facts::default(),
            )
        }),
    ]
    .map(crate::scene::Scene::play)
}

/// A drain by hand that took a node over from one with a hook and a near deadline.
fn with_the_hook_of_another() -> Ending {
    drain(by_hand(), Account::with_instance("Terminating:Wait"))
        .on("cordon-node", |asked| {
            let own = own_wishes(asked);
            let wishes = cordon_node::Wishes {
                node: Subject {
                    hook: Some(hook()),
                    ..own.node
                },
                deadline: soon(),
                ..own
            };
            cordoned_with(asked, wishes)
        })
        .play()
}

/// A drain that keeps its instance, as far as it goes: the one before it was to end it.
fn with_the_wish_of_another_to_end_the_instance() -> Ending {
    let input = serde_json::json!({ "instanceId": INSTANCE, "terminate": false });
    drain(input, Account::with_instance("InService"))
        .on("cordon-node", |asked| {
            let own = own_wishes(asked);
            assert!(!own.terminate);
            cordoned_with(
                asked,
                cordon_node::Wishes {
                    terminate: true,
                    ..own
                },
            )
        })
        .play()
}

/// A join by hand that took a node over from one with a hook.
pub(crate) fn joined_with_the_wishes_of_another() -> Ending {
    let launch_hook = Hook {
        name: "tidegate-node-join".to_owned(),
        ..hook()
    };
    let account = Account {
        hooks: Account::with_instance("Pending:Wait").hooks,
        ..Account::with_instance("Pending")
    };
    join(by_hand(), account)
        .on("label-node", move |asked| {
            assert_eq!(asked.call.node.hook, None);
            let node = Subject {
                hook: Some(launch_hook.clone()),
                ..asked.call.node.clone()
            };
            labelled_with(
                asked,
                label_node::Wishes {
                    node,
                    deadline: soon(),
                },
            )
        })
        .play()
}

/// A walk of each kind.
pub(crate) fn drains() -> Vec<Ending> {
    let mut all = Vec::from(taken_over());
    all.extend([
        gave_way(),
        with_the_hook_of_another(),
        with_the_wish_of_another_to_end_the_instance(),
    ]);
    all
}

fn told_soon(ending: &Ending) -> Option<Timestamp> {
    ending.told()["deadline"].as_str()?.parse().ok()
}

#[test]
fn a_drain_that_finds_another_at_work_changes_nothing_and_names_it() {
    let ending = gave_way();
    ending.assert_outcome("superseded", OTHER);
    ending.assert_instance();
    for function in ["evict-pods", "drain-cache", "retire-worker"] {
        assert!(ending.asked(function).is_empty(), "{function}");
    }
    assert_eq!(ending.hook_results(), [""; 0]);
    assert!(ending.calls("terminateInstanceInAutoScalingGroup").is_empty());
}

#[test]
fn a_drain_whose_node_is_taken_over_leaves_hook_and_instance_to_the_other() {
    for ending in taken_over() {
        ending.assert_outcome("superseded", OTHER);
        assert_eq!(ending.hook_results(), [""; 0]);
        assert!(ending.calls("terminateInstanceInAutoScalingGroup").is_empty());
    }
}

#[test]
fn a_drain_that_took_a_node_over_completes_the_hook_that_came_with_it() {
    let ending = with_the_hook_of_another();
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    assert_eq!(ending.told()["hook"], "tidegate-node-drain");
    assert_eq!(told_soon(&ending), Some(soon()));
    for function in ["evict-pods", "drain-cache", "retire-worker"] {
        let asked = ending.asked(function)[0];
        let deadline: Option<Timestamp> = asked["deadline"].as_str().and_then(|text| text.parse().ok());
        assert_eq!(deadline, Some(soon()), "{function}");
    }
}

#[test]
fn a_drain_that_took_a_node_over_ends_the_instance_where_the_other_would_have() {
    let ending = with_the_wish_of_another_to_end_the_instance();
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.calls("terminateInstanceInAutoScalingGroup").len(), 1);
}

#[test]
fn a_join_that_took_a_node_over_completes_the_hook_that_came_with_it() {
    let ending = joined_with_the_wishes_of_another();
    ending.assert_outcome("joined", "in service");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    assert_eq!(told_soon(&ending), Some(soon()));
}

#[test]
fn only_a_person_can_wish_an_instance_ended_that_no_hook_holds() {
    let wish = |ending: &Ending| ending.asked("cordon-node")[0]["terminate"].clone();
    assert_eq!(wish(&terminating(true).play()), Value::from(false));
    let by_hand = drain(by_hand(), Account::with_instance("InService")).play();
    assert_eq!(wish(&by_hand), Value::from(true));
}

#[test]
fn what_is_told_of_a_claim_does_not_repeat_the_node() {
    let drained = terminating(true).play().told();
    assert_eq!(drained["seen"]["cordonNode"]["nodeName"], "node-1");
    assert_eq!(drained["seen"]["cordonNode"].get("node"), None);
    let joined = joined_with_the_wishes_of_another().told();
    assert_eq!(joined["seen"]["labelNode"].get("node"), None);
}

#[test]
fn every_function_that_changes_a_node_is_told_the_execution() {
    for machine in machines() {
        for (function, state) in machine.function_tasks() {
            // These change none; and the drift check only while it is as it was judged, its claim included.
            let others = [
                "resolve-node",
                "check-drift",
                "bootstrap-cluster",
                "destroy-cluster",
            ];
            if !others.contains(&function.as_str()) {
                assert_eq!(
                    state.fields["Arguments"]["Payload"]["execution"], "{% $states.context.Execution.Id %}",
                    "{}: {}",
                    machine.file, state.name
                );
            }
        }
    }
}

/// By that their executions recognise each other, and `iam.json` of those that ask names them so.
#[test]
fn state_machines_are_named_by_stack_and_direction() {
    let template = template();
    for (machine, direction) in machines().iter().zip(["join", "drain"]) {
        let name = &properties(&template, machine.resource)["Name"]["Fn::Sub"];
        let expected = format!("${{AWS::StackName}}-node-{direction}");
        assert_eq!(name, expected.as_str());
        for function in ["cordon-node", "label-node"] {
            let iam = crate::repository::read(&format!("functions/{function}/iam.json"));
            assert!(
                iam.contains(&format!(":execution:{expected}:*")),
                "functions/{function}/iam.json"
            );
        }
    }
}
