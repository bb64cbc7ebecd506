//! Drains of instances whose terminate hook waits, from the event to the outcome.

use serde_json::{Value, json};
use tidegate_domain::outcome::{CordonOutcome, DrainOutcome, EvictOutcome, RetireOutcome};
use tidegate_domain::resolve::Direction;

use crate::account::{Account, DRAIN_LIMIT, GROUP, INSTANCE, lifecycle_action};
use crate::answers::{
    blocked, cordoned, cordoned_with, drained, evicted, forced, incomplete, lost, never_saved, own_wishes,
    retired, retiring, saving,
};
use crate::ending::Ending;
use crate::scene::{Scene, auto_scaling_fails, hook_over};
use crate::walker::MOST_EVENTS;

/// Seconds after the deadline for which pods and the worker's remains are still waited for.
const GRACE: u32 = 120;

/// A drain in which every function answers at once that all is well.
pub(crate) fn drain(input: Value, account: Account) -> Scene {
    Scene::new(Direction::Drain, input, account)
        .on("cordon-node", cordoned)
        .on("evict-pods", evicted)
        .on("drain-cache", drained)
        .on("retire-worker", retired)
}

/// The same for a terminate action of our group; whether the group retains.
pub(crate) fn terminating(retains: bool) -> Scene {
    terminating_from(Account {
        retains,
        ..Account::with_instance("Terminating:Wait")
    })
}

pub(crate) fn terminating_from(account: Account) -> Scene {
    drain(lifecycle_action(Direction::Drain, GROUP), account)
}

pub(crate) fn clean() -> Ending {
    terminating(true).play()
}

fn after_waiting() -> Ending {
    terminating(true)
        .on("evict-pods", |asked| {
            if asked.before < 2 {
                blocked(asked)
            } else {
                evicted(asked)
            }
        })
        .on("drain-cache", |asked| {
            if asked.before < 4 {
                saving(asked)
            } else {
                drained(asked)
            }
        })
        .on("retire-worker", |asked| {
            if asked.before < 1 {
                retiring(asked)
            } else {
                retired(asked)
            }
        })
        .play()
}

/// The same where the instance is no node.
pub(crate) fn without_node(scene: Scene) -> Scene {
    let reason = "instance i-0123456789abcdef0 is no node";
    scene
        .on("cordon-node", move |asked| {
            asked.says(CordonOutcome::Absent, reason, cordon_node::Facts::default())
        })
        .on("evict-pods", move |asked| {
            asked.says(EvictOutcome::Absent, reason, evict_pods::Facts::default())
        })
        .on("drain-cache", move |asked| {
            let facts = drain_cache::Facts::default();
            asked.says(DrainOutcome::Absent, reason, facts)
        })
        .on("retire-worker", move |asked| {
            asked.says(RetireOutcome::Absent, reason, retire_worker::Facts::default())
        })
}

pub(crate) fn no_node() -> Ending {
    without_node(terminating(true)).play()
}

pub(crate) fn of_another_group() -> Ending {
    let account = Account::with_instance("Terminating:Wait");
    drain(lifecycle_action(Direction::Drain, "web"), account).play()
}

pub(crate) fn without_disks() -> Ending {
    let mut account = Account::with_instance("Terminating:Wait");
    account.disks.clear();
    terminating_from(account)
        .on("drain-cache", |asked| {
            assert_eq!(
                asked.payload["plan"], true,
                "nothing is changed before a worker is found"
            );
            let looked = drain_cache::Planned {
                absent: Some("node node-1 has no Alluxio worker".to_owned()),
                ..drain_cache::Planned::default()
            };
            asked.says(DrainOutcome::Planned, "nothing to do", looked)
        })
        .play()
}

/// A worker runs on the node all the same: it began when nodes without disks were to cache in memory.
pub(crate) fn without_disks_and_with_a_worker() -> Ending {
    let mut account = Account::with_instance("Terminating:Wait");
    account.disks.clear();
    terminating_from(account)
        .on("drain-cache", |asked| {
            if asked.payload["plan"] == false {
                return drained(asked);
            }
            let looked = drain_cache::Planned {
                host: Some("10.0.0.7".to_owned()),
                ..drain_cache::Planned::default()
            };
            asked.says(DrainOutcome::Planned, "would persist 2 files", looked)
        })
        .play()
}

pub(crate) fn never_saved_and_retained() -> Ending {
    terminating(true).on("drain-cache", never_saved).play()
}

/// Saved only long after the deadline, in a group that does not retain.
pub(crate) fn saved_late() -> Ending {
    terminating(false)
        .on("drain-cache", |asked| {
            if asked.age() < 3 * i64::from(DRAIN_LIMIT) {
                never_saved(asked)
            } else {
                drained(asked)
            }
        })
        .play()
}

/// Never saved, in a group that does not retain and whose hook lasts two days.
pub(crate) fn never_saved_and_not_retained() -> Ending {
    let account = Account::with_instance("Terminating:Wait").with_heartbeat(3_600);
    terminating_from(account).on("drain-cache", never_saved).play()
}

fn budget_for_ever() -> Ending {
    terminating(true).on("evict-pods", blocked).play()
}

pub(crate) fn worker_stays() -> Ending {
    terminating(true).on("retire-worker", retiring).play()
}

/// A drain of an instance that EC2 takes back in two minutes, whatever its hook is told.
pub(crate) fn taken_back(retains: bool, lifecycle_state: &str) -> Scene {
    let input = json!({ "instanceId": INSTANCE, "reclaimed": true, "deadlineSeconds": 120 });
    let account = Account {
        retains,
        ..Account::with_instance(lifecycle_state)
    };
    drain(input, account).on("drain-cache", |asked| match asked.before {
        0 => saving(asked),
        _ => incomplete(asked),
    })
}

/// The worker is gone before its files were saved.
pub(crate) fn worker_lost(retains: bool) -> Ending {
    terminating(retains)
        .on("drain-cache", |asked| match asked.before {
            0 => saving(asked),
            _ => lost(asked),
        })
        .play()
}

/// Never saved, in a group whose policy is taken off while the drain runs.
pub(crate) fn retains_no_more() -> Ending {
    terminating(true)
        .retaining_later(false)
        .on("drain-cache", never_saved)
        .play()
}

/// The same where the group cannot be asked.
pub(crate) fn retention_unknown() -> Ending {
    terminating(true)
        .on("drain-cache", never_saved)
        .action("describeAutoScalingGroups", |_| {
            Some(auto_scaling_fails("Rate exceeded"))
        })
        .play()
}

/// The hook runs out in the moment in which it is abandoned.
pub(crate) fn over_when_abandoned(retains: bool) -> Ending {
    let account = Account {
        retains: true,
        ..Account::with_instance("Terminating:Wait")
    };
    let scene = terminating_from(account)
        .on("drain-cache", never_saved)
        .action("completeLifecycleAction", |_| Some(hook_over()))
        .action("describeAutoScalingInstances", move |before| {
            (before == 0).then(|| auto_scaling_fails("Rate exceeded"))
        });
    if retains {
        scene.play()
    } else {
        // The policy is there when it is asked for, and gone when the hook ends.
        scene.kept_at_the_end(false).play()
    }
}

fn in_service_again() -> Ending {
    terminating(true)
        .on("evict-pods", forced)
        .on("retire-worker", |asked| {
            if asked.before > 0 {
                return retired(asked);
            }
            let reason = "worker 10.0.0.7 is in service (again)";
            asked.says(RetireOutcome::InService, reason, retire_worker::Facts::default())
        })
        .play()
}

/// A walk of each kind.
pub(crate) fn all() -> Vec<Ending> {
    vec![
        clean(),
        after_waiting(),
        no_node(),
        of_another_group(),
        without_disks(),
        without_disks_and_with_a_worker(),
        never_saved_and_retained(),
        saved_late(),
        budget_for_ever(),
        worker_stays(),
        in_service_again(),
        taken_back(true, "Terminating:Wait").play(),
        worker_lost(false),
        retains_no_more(),
        retention_unknown(),
        over_when_abandoned(true),
        over_when_abandoned(false),
    ]
}

#[test]
fn a_drain_that_saved_all_lets_the_instance_go() {
    let ending = clean();
    ending.assert_outcome("drained", "nothing on worker 10.0.0.7 is the only copy");
    ending.assert_instance();
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    let told = ending.told();
    assert!(
        told["reason"]
            .as_str()
            .unwrap_or_default()
            .ends_with("and 2 volumes"),
        "{told:#}"
    );
    assert_eq!(told["seen"]["evictPods"]["evictedPods"], 3);
    assert_eq!(told["seen"]["drainCache"]["persistedFiles"], 3);
    assert_eq!(
        told["seen"]["retireWorker"]["deletedVolumes"],
        json!(["local-pv-1", "local-pv-2"])
    );
    assert!(ending.calls("terminateInstanceInAutoScalingGroup").is_empty());
}

#[test]
fn what_a_call_of_drain_cache_learned_comes_with_the_next_and_with_no_event() {
    let ending = after_waiting();
    ending.assert_outcome("drained", "only copy");
    let carried: Vec<_> = ending
        .asked("drain-cache")
        .iter()
        .map(|payload| payload["progress"]["totals"]["persistedFiles"].as_u64())
        .collect();
    assert_eq!(carried, [None, Some(0), Some(1), Some(2), Some(3)]);
    assert_eq!(ending.told()["seen"]["drainCache"].get("progress"), None);
}

#[test]
fn a_drain_that_waits_beats_the_hooks_heart_once_for_each_wait_of_each_part() {
    let ending = after_waiting();
    assert_eq!(ending.calls("recordLifecycleActionHeartbeat").len(), 2 + 4 + 1);
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
}

#[test]
fn an_instance_that_never_became_a_node_goes_at_once() {
    let ending = no_node();
    ending.assert_outcome("drained", "is no node");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    assert!(ending.seconds < 30, "{} s", ending.seconds);
}

#[test]
fn what_is_not_ours_is_ignored_and_only_a_hook_of_ours_goes_on() {
    let ending = of_another_group();
    ending.assert_outcome("ignored", "group web");
    assert_eq!(ending.hook_results(), [""; 0]);
    let ending = without_disks();
    ending.assert_outcome("ignored", "no NVMe instance store");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    for function in ["cordon-node", "evict-pods", "retire-worker"] {
        assert!(ending.asked(function).is_empty(), "{function}");
    }
}

#[test]
fn a_worker_on_a_node_without_disks_is_drained() {
    let ending = without_disks_and_with_a_worker();
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    assert_eq!(ending.asked("cordon-node").len(), 1);
    assert_eq!(ending.asked("evict-pods").len(), 1);
}

#[test]
fn an_unseen_node_without_disks_is_no_empty_one() {
    let mut account = Account {
        retains: true,
        ..Account::with_instance("Terminating:Wait")
    };
    account.disks.clear();
    let ending = terminating_from(account)
        .on("drain-cache", |asked| asked.fails("KubernetesUnavailable"))
        .play();
    ending.assert_outcome("retained", "what the worker holds could not be seen");
}

#[test]
fn where_the_group_retains_a_drain_that_could_not_save_all_abandons_so_that_the_instance_stays() {
    let ending = never_saved_and_retained();
    ending.assert_outcome(
        "retained",
        "2 files on worker 10.0.0.7 are not safe yet, such as /a",
    );
    assert_eq!(ending.hook_results(), ["ABANDON"]);
    assert_eq!(ending.told()["seen"]["drainCache"]["bytesLeft"], 2 << 20);
    assert!(ending.asked("retire-worker").is_empty(), "the worker stays");
    let over = ending.seconds - i64::from(DRAIN_LIMIT);
    assert!((0..60).contains(&over), "{over} s after the deadline");
}

#[test]
fn where_the_group_does_not_retain_a_drain_holds_on_past_its_deadline_until_all_is_saved() {
    let ending = saved_late();
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    let after = ending.seconds - 3 * i64::from(DRAIN_LIMIT);
    assert!((0..300).contains(&after), "{after} s after all was saved");
}

#[test]
fn bytes_lost_as_their_hook_runs_out_are_told() {
    let ending = never_saved_and_not_retained();
    ending.assert_outcome("incomplete", "the instance is Terminated");
    assert_eq!(
        ending.hook_results(),
        [""; 0],
        "nothing of ours may end the instance"
    );
    let seen = &ending.told()["seen"]["drainCache"];
    assert_eq!(seen["bytesLeft"], 2 << 20, "{seen:#}");
    assert_eq!(
        seen["unsavedFiles"],
        json!(["/a (1048576 bytes: not in the under store)"])
    );
    let looks = ending.asked("drain-cache");
    let last: Vec<_> = looks.iter().filter(|call| call["hookOver"] == true).collect();
    assert_eq!(last.len(), 1, "one last look, and its bytes are counted once");
}

#[test]
fn a_drain_that_holds_its_hook_fits_into_a_history() {
    let ending = never_saved_and_not_retained();
    assert!(
        (172_000..174_000).contains(&ending.seconds),
        "{} s",
        ending.seconds
    );
    assert!(
        ending.trace.events < MOST_EVENTS / 10 * 9,
        "{} events",
        ending.trace.events
    );
}

#[test]
fn what_goes_with_a_spot_instance_is_told_as_lost() {
    for retains in [true, false] {
        let ending = taken_back(retains, "Terminating:Wait").play();
        ending.assert_outcome("incomplete", "2 files on worker 10.0.0.7");
        assert_eq!(ending.hook_results(), ["CONTINUE"], "EC2 takes it anyway");
        assert_eq!(ending.told()["seen"]["drainCache"]["bytesLeft"], 2 << 20);
        assert!(
            ending.seconds < 300,
            "{} s: nothing to hold on for",
            ending.seconds
        );
        let ending = taken_back(retains, "InService").play();
        ending.assert_outcome("incomplete", "2 files on worker 10.0.0.7");
        assert!(ending.calls("terminateInstanceInAutoScalingGroup").is_empty());
    }
}

#[test]
fn a_spot_instance_unseen_is_no_success() {
    for retains in [true, false] {
        let ending = taken_back(retains, "Terminating:Wait")
            .on("drain-cache", |asked| asked.fails("AlluxioUnavailable"))
            .play();
        ending.assert_outcome("incomplete", "could not be seen");
        assert_eq!(ending.hook_results(), ["CONTINUE"]);
    }
}

#[test]
fn a_worker_gone_with_its_files_is_a_loss() {
    for retains in [true, false] {
        let ending = worker_lost(retains);
        ending.assert_outcome("incomplete", "existed nowhere else");
        assert_eq!(ending.hook_results(), ["CONTINUE"], "nothing is left to hold");
        let seen = &ending.told()["seen"]["drainCache"];
        assert_eq!(seen["moreUnsavedFiles"], 1, "{seen:#}");
    }
}

#[test]
fn a_group_that_retains_no_more_is_told_nothing() {
    for ending in [retains_no_more(), retention_unknown()] {
        assert!(!ending.hook_results().contains(&"ABANDON"));
        assert!(
            ending.seconds > 10 * i64::from(DRAIN_LIMIT) / 2,
            "{} s: it holds its hook",
            ending.seconds
        );
    }
    retains_no_more().assert_outcome("incomplete", "the instance is Terminated");
    retention_unknown().assert_outcome("retained", "the group keeps the instance");
}

#[test]
fn a_group_that_retains_is_asked_before_it_abandons() {
    let ending = never_saved_and_retained();
    let asked: Vec<_> = ending
        .trace
        .calls
        .iter()
        .map(|call| call.state.as_str())
        .collect();
    let last = &asked[asked.len() - 3..];
    assert_eq!(last, ["AskRetention", "CompleteHook", "TellOutcome"]);
}

#[test]
fn an_abandoned_hook_that_was_over_is_looked_into() {
    let ending = over_when_abandoned(true);
    ending.assert_outcome("retained", "the group keeps the instance");
    let ending = over_when_abandoned(false);
    ending.assert_outcome("incomplete", "the instance is Terminated");
}

#[test]
fn a_budget_that_never_lets_a_pod_go_holds_up_a_drain_until_its_deadline_and_a_grace_only() {
    let ending = budget_for_ever();
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.told()["seen"]["evictPods"]["outcome"], "waiting");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    let over = ending.seconds - i64::from(DRAIN_LIMIT + GRACE);
    assert!((0..120).contains(&over), "{over} s after deadline and grace");
}

#[test]
fn a_drained_worker_that_does_not_go_is_not_waited_for_for_ever() {
    let ending = worker_stays();
    ending.assert_outcome("drained", "is not being deleted yet");
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
    let over = ending.seconds - i64::from(DRAIN_LIMIT + GRACE);
    assert!((0..120).contains(&over), "{over} s after deadline and grace");
}

#[test]
fn a_worker_that_is_in_service_again_is_drained_again_before_it_goes() {
    let ending = in_service_again();
    ending.assert_outcome("drained", "only copy");
    assert_eq!(ending.asked("drain-cache").len(), 2);
    assert_eq!(
        ending.asked("drain-cache")[1]["progress"],
        Value::Null,
        "and from the beginning"
    );
    assert_eq!(ending.asked("retire-worker").len(), 2);
    assert_eq!(ending.hook_results(), ["CONTINUE"]);
}

#[test]
fn evict_pods_is_told_of_a_reclaimed_instance() {
    for reclaimed in [false, true] {
        let ending = terminating(true)
            .on("cordon-node", move |asked| {
                let wishes = cordon_node::Wishes {
                    reclaimed,
                    ..own_wishes(asked)
                };
                cordoned_with(asked, wishes)
            })
            .play();
        assert_eq!(ending.asked("evict-pods")[0]["reclaimed"], reclaimed);
    }
}

#[test]
fn what_evict_pods_has_done_comes_with_its_next_call_also_in_a_second_drain() {
    let ending = in_service_again();
    let carried: Vec<_> = ending
        .asked("evict-pods")
        .iter()
        .map(|payload| &payload["progress"])
        .collect();
    let done = json!({ "evictedPods": 3, "forcedPods": ["default/spark-1"] });
    assert_eq!(carried, [&Value::Null, &done, &done]);
    assert_eq!(ending.told()["seen"]["evictPods"].get("progress"), None);
}
