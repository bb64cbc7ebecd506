//! Whole drains of a node's pods, call after call, against an API server that refuses some of them.

#![allow(clippy::expect_used, clippy::panic, reason = "part of tests")]

mod world;

use serde_json::{Value, json};
use tidegate_domain::names;
use tidegate_domain::node::{PastCordon, Pod};
use tidegate_domain::ports::RefusedBy;

use crate::world::{Guard, Guarded, Play, World, guarded, pod};

fn text(value: &Value) -> String {
    value.to_string()
}

#[tokio::test]
async fn a_refused_eviction_holds_up_no_other() {
    for by in [
        RefusedBy::Rights,
        RefusedBy::Admission,
        RefusedBy::Webhook,
        RefusedBy::Silence,
        RefusedBy::Server,
    ] {
        let world = World::with([guarded("a-guarded", Guard::NoEviction(by)), pod("b"), pod("c")]);
        let answer = world.call(Play::default(), &Value::Null).await;
        assert_eq!(answer["outcome"], "waiting", "{by:?}: {answer}");
        assert_eq!(world.names(), ["a-guarded"], "{by:?}");
        assert_eq!(
            answer["blockedPods"],
            json!([format!("default/a-guarded: refused: {by:?}")])
        );
        assert_eq!(answer["evictedPods"], 2, "{by:?}");
    }
}

#[tokio::test]
async fn a_refused_pod_is_deleted_when_patience_ends() {
    let world = World::with([guarded("a", Guard::NoEviction(RefusedBy::Admission))]);
    let answer = world.drain(Play::default()).await;
    assert_eq!(answer["outcome"], "evicted", "{answer}");
    assert_eq!(answer["forcedPods"], json!(["default/a"]));
    let deleted_at = world.deleted_at("a").expect("deleted");
    assert!((900..910).contains(&deleted_at), "{deleted_at} s");
}

#[tokio::test]
async fn silent_webhooks_let_all_others_go() {
    let silent = (0..5).map(|n| guarded(&format!("a{n}"), Guard::NoEviction(RefusedBy::Silence)));
    let free = (0..40).map(|n| pod(&format!("b{n}")));
    let world = World::with(silent.chain(free));
    let mut progress = Value::Null;
    for _ in 0..2 {
        let answer = world.call(Play::default(), &progress).await;
        progress = answer["progress"].clone();
    }
    assert_eq!(world.names().len(), 5, "only those that are not answered for");
    assert_eq!(world.evictions("b").len(), 40);
}

#[tokio::test]
async fn a_pod_that_comes_back_is_evicted_once() {
    for (past_cordon, why) in [
        (PastCordon::Tolerates, "which it tolerates"),
        (PastCordon::NamesNode, "as it names its node"),
    ] {
        let sticky = Guarded {
            pod: Pod {
                past_cordon: Some(past_cordon),
                ..pod("sticky").pod
            },
            returns: true,
            ..Guarded::default()
        };
        let world = World::with([sticky, pod("other")]);
        let answer = world.drain(Play::default()).await;
        assert_eq!(answer["outcome"], "evicted", "{answer}");
        assert_eq!(world.evictions("sticky").len(), 1);
        assert_eq!(world.names(), ["sticky-again"]);
        let remaining = text(&answer["remainingPods"]);
        assert!(
            remaining.contains("default/sticky-again") && remaining.contains(why),
            "{answer}"
        );
        assert!(
            text(&answer["reason"]).contains("default/sticky-again"),
            "{answer}"
        );
        assert!(world.age() < 30, "{} s", world.age());
    }
}

#[tokio::test]
async fn a_reclaimed_pod_has_its_grace_before_the_end() {
    for watch_seconds in [0, 20] {
        for grace in [1, 30, 60, 90, 110] {
            let mut held = guarded("held", Guard::Budget);
            held.pod.grace_period_seconds = grace;
            let world = World::with([held]);
            let play = Play {
                deadline: 120,
                reclaimed: true,
                watch_seconds,
            };
            world.drain(play).await;
            let deleted_at = world.deleted_at("held").expect("deleted");
            let latest = 120 - i64::from(grace);
            assert!(
                deleted_at <= latest && deleted_at >= latest - 20,
                "grace {grace} s: deleted after {deleted_at} s"
            );
        }
    }
}

#[tokio::test]
async fn a_grace_that_does_not_fit_begins_at_once() {
    let mut held = guarded("held", Guard::Budget);
    held.pod.grace_period_seconds = 600;
    let world = World::with([held]);
    let play = Play {
        deadline: 120,
        reclaimed: true,
        ..Play::default()
    };
    world.drain(play).await;
    assert_eq!(world.deleted_at("held"), Some(0));
}

#[tokio::test]
async fn an_announced_end_gives_budgets_hours() {
    let world = World::with([guarded("driver", Guard::Budget), pod("other")]);
    let play = Play {
        deadline: 43_200 + 3_600,
        ..Play::default()
    };
    let answer = world.drain(play).await;
    assert_eq!(answer["outcome"], "evicted", "{answer}");
    // Asked only every five minutes by then, and yet in time.
    let deleted_at = world.deleted_at("driver").expect("deleted");
    assert!((43_200..43_210).contains(&deleted_at), "{deleted_at} s");
}

#[tokio::test]
async fn a_master_is_held_up_to_the_deadline() {
    let master = |guard| Guarded {
        pod: Pod {
            role: Some(names::MASTER_ROLE.into()),
            ..pod("alluxio-master-0").pod
        },
        guard,
        ..Guarded::default()
    };
    for reclaimed in [false, true] {
        let world = World::with([master(Guard::Budget), guarded("other", Guard::Budget)]);
        let play = Play {
            deadline: 1_200,
            reclaimed,
            ..Play::default()
        };
        let answer = world.drain(play).await;
        assert_eq!(answer["outcome"], "evicted", "{answer}");
        assert_eq!(world.deleted_at("alluxio-master-0"), None);
        assert!(world.deleted_at("other").is_some());
        assert!((1_200..1_230).contains(&world.age()), "{} s", world.age());
        assert_eq!(
            answer["remainingPods"],
            json!(["default/alluxio-master-0: the budget needs 1 and has 1"])
        );
    }
    let world = World::with([master(Guard::None)]);
    world.drain(Play::default()).await;
    assert_eq!(world.evictions("alluxio-master-0").len(), 1, "within its budget");
}

#[tokio::test]
async fn a_refused_deletion_ends_the_wait_in_time() {
    for (by, from, to) in [
        (RefusedBy::Rights, 900, 960),
        (RefusedBy::Admission, 3_600, 3_660),
    ] {
        let world = World::with([guarded("a", Guard::NoEnd(by)), guarded("b", Guard::Budget)]);
        let answer = world.drain(Play::default()).await;
        assert_eq!(answer["outcome"], "evicted", "{answer}");
        assert!((from..to).contains(&world.age()), "{by:?}: {} s", world.age());
        assert_eq!(
            answer["remainingPods"],
            json!([format!("default/a: refused: {by:?}")])
        );
        assert!(
            world.deleted_at("b").expect("deleted") < 960,
            "held up by the other"
        );
    }
}

#[tokio::test]
async fn an_answer_stays_small_with_many_pods() {
    let by = RefusedBy::Admission;
    let pods = (0..300).map(|n| guarded(&format!("{n}-{}", "x".repeat(200)), Guard::NoEviction(by)));
    let world = World::with(pods);
    let answer = world.call(Play::default(), &Value::Null).await;
    assert_eq!(answer["podsLeft"], 300);
    assert!(text(&answer).len() < 32 << 10, "{} bytes", text(&answer).len());
}
