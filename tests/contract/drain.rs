//! Drains of instances whose terminate hook waits, from the event to the outcome.

use serde_json::{Value, json};
use tidegate_domain::outcome::{CordonOutcome, DrainOutcome, EvictOutcome, RetireOutcome};
use tidegate_domain::resolve::Direction;

use crate::account::{Account, DRAIN_LIMIT, GROUP, lifecycle_action};
use crate::answers::{
    blocked, cordoned, cordoned_with, drained, evicted, forced, never_saved, own_wishes, retired, retiring,
    saving,
};
use crate::ending::Ending;
use crate::scene::Scene;
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

fn terminating_from(account: Account) -> Scene {
    drain(lifecycle_action(Direction::Drain, GROUP), account)
}

fn clean() -> Ending {
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

fn no_node() -> Ending {
    without_node(terminating(true)).play()
}

fn of_another_group() -> Ending {
    let account = Account::with_instance("Terminating:Wait");
    drain(lifecycle_action(Direction::Drain, "web"), account).play()
}

fn without_disks() -> Ending {
    let mut account = Account::with_instance("Terminating:Wait");
    account.disks.clear();
    terminating_from(account).play()
}

fn never_saved_and_retained() -> Ending {
    terminating(true).on("drain-cache", never_saved).play()
}

/// Saved only long after the deadline, in a group that does not retain.
fn saved_late() -> Ending {
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
fn never_saved_and_not_retained() -> Ending {
    let account = Account::with_instance("Terminating:Wait").with_heartbeat(3_600);
    terminating_from(account).on("drain-cache", never_saved).play()
}

fn budget_for_ever() -> Ending {
    terminating(true).on("evict-pods", blocked).play()
}

fn worker_stays() -> Ending {
    terminating(true).on("retire-worker", retiring).play()
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
        never_saved_and_retained(),
        saved_late(),
        budget_for_ever(),
        worker_stays(),
        in_service_again(),
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
fn a_drain_that_holds_on_to_the_hooks_last_second_fits_into_an_executions_history() {
    let ending = never_saved_and_not_retained();
    ending.assert_outcome("superseded", "2 files on worker 10.0.0.7 are not safe yet");
    assert_eq!(
        ending.hook_results(),
        [""; 0],
        "nothing of ours may end the instance"
    );
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
