//! A hook whose event was lost is seen to before it runs out, by the drift check as it is deployed.

use jiff::{SignedDuration, Timestamp};
use tidegate_domain::drift::{
    Budget, Choice, Executions, Group, Kind, Manifests, Member, Memory, Request, Rules, Scope, Snapshot,
    Workers, choose, judge,
};
use tidegate_domain::ports::GroupHook;
use tidegate_domain::resolve::Direction;

use crate::repository::json;
use crate::template::template;

const INSTANCE: &str = "i-0123456789abcdef0";
/// From the beginning of a check to the first heartbeat of the execution that it starts: a check runs for 30 s at the
/// longest and is tried again, and an execution of node-drain or node-join beats after its first few calls.
const STARTS: i64 = 120;

/// How the drift check is deployed.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_field_names, reason = "the unit of each")]
struct Deployed {
    heartbeat_seconds: u32,
    rate_seconds: i64,
    settle_seconds: u32,
}

/// What becomes of one of the checks after a hook has begun to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// It sees everything.
    Sees,
    /// It comes to no end.
    Fails,
    /// Auto Scaling does not answer it.
    Blind,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
}

fn scope() -> Scope {
    Scope {
        join_hook: "tidegate-node-join".to_owned(),
        drain_hook: "tidegate-node-drain".to_owned(),
        namespace: "alluxio".to_owned(),
    }
}

/// A group with one instance in that state, and nothing else.
fn snapshot(heartbeat_seconds: u32, state: &str) -> Snapshot {
    let hook = |name: &str, direction: Direction| GroupHook {
        name: name.to_owned(),
        transition: direction.transition().to_owned(),
        heartbeat_seconds,
        global_seconds: 172_800,
        default_result: "ABANDON".to_owned(),
    };
    let group = Group {
        name: "nvme-nodes".to_owned(),
        exists: true,
        one_array: false,
        retains: true,
        hooks: vec![
            hook("tidegate-node-join", Direction::Join),
            hook("tidegate-node-drain", Direction::Drain),
        ],
        members: vec![Member {
            instance: INSTANCE.to_owned(),
            instance_type: "m5d.2xlarge".to_owned(),
            lifecycle_state: state.to_owned(),
        }],
    };
    Snapshot {
        groups: Ok(vec![group]),
        disks: std::collections::BTreeMap::new(),
        nodes: Ok(Vec::new()),
        volumes: Ok(Vec::new()),
        claims: Ok(Vec::new()),
        pods: Ok(Vec::new()),
        workers: Ok(Workers::default()),
        executions: Ok(Executions::default()),
        rules: Ok(Rules::default()),
        manifests: Ok(Manifests {
            record: "record".to_owned(),
            objects: Some(Vec::new()),
            destroying_since: None,
        }),
    }
}

/// How many seconds a hook has waited when a check sees to it. It begins to wait so long after a check that saw everything.
fn seen_to_after(deployed: Deployed, state: &str, began_after: i64, checks: [Check; 2]) -> i64 {
    let mut memory = Memory::default();
    for number in 0..20 {
        let now = at(number * deployed.rate_seconds);
        let began = at(deployed.rate_seconds + began_after);
        let check = usize::try_from(number - 2)
            .ok()
            .and_then(|index| checks.get(index));
        let state = if now >= began { state } else { "InService" };
        let mut seen = snapshot(deployed.heartbeat_seconds, state);
        match check {
            Some(Check::Fails) => continue,
            Some(Check::Blind) => seen.groups = Err("throttled".to_owned()),
            Some(Check::Sees) | None => {}
        }
        let groups = seen.groups.clone().unwrap_or_default();
        let (told, next) = memory.with(judge(&seen, &scope(), now), now);
        let budget = Budget {
            percent: 10,
            settle_seconds: deployed.settle_seconds,
        };
        let choices = choose(
            &told,
            &Request::default(),
            budget,
            &groups,
            &[],
            memory.looks(now),
        );
        let waits = |kind| matches!(kind, Kind::DrainStalled | Kind::JoinStalled);
        let repaired = told
            .iter()
            .zip(choices)
            .any(|(told, choice)| waits(told.finding.kind) && choice == Choice::Repair);
        if repaired {
            return now.duration_since(began).as_secs();
        }
        memory = next;
    }
    i64::MAX - STARTS
}

/// Asserts that nothing that may become of the next two checks has a hook run out, where the heartbeat allows for that.
fn assert_in_time(deployed: Deployed) {
    use Check::{Blind, Fails, Sees};
    let heartbeat = i64::from(deployed.heartbeat_seconds);
    for checks in [
        [Sees, Sees],
        [Sees, Fails],
        [Sees, Blind],
        [Fails, Sees],
        [Blind, Sees],
    ] {
        let lost = i64::from(checks != [Sees, Sees]);
        if heartbeat <= (1 + lost) * deployed.rate_seconds + STARTS {
            continue;
        }
        for state in ["Terminating:Wait", "Pending:Wait", "Warmed:Terminating:Wait"] {
            for tenth in 1..=10 {
                let began_after = deployed.rate_seconds * tenth / 10;
                let after = seen_to_after(deployed, state, began_after, checks);
                assert!(
                    after + STARTS <= heartbeat,
                    "{deployed:?}, {checks:?}, {state}: seen to after {after} s"
                );
            }
        }
    }
}

fn deployed_by_default() -> Deployed {
    let template = template();
    let default = |name: &str| template["Parameters"][name]["Default"].clone();
    let rate = default("DriftCheckRate");
    let minutes = rate
        .as_str()
        .and_then(|rate| rate.strip_prefix("rate(")?.strip_suffix(" minutes)"))
        .and_then(|minutes| minutes.parse::<i64>().ok());
    let sample =
        |name: &str| json(&format!("samples/lifecycle-hooks/{name}.json"))["HeartbeatTimeout"].as_u64();
    assert_eq!(sample("node-join"), sample("node-drain"));
    let heartbeat = sample("node-drain").and_then(|seconds| u32::try_from(seconds).ok());
    let settle = default("DriftSettleSeconds").as_u64();
    Deployed {
        heartbeat_seconds: heartbeat.expect("seconds"),
        rate_seconds: SignedDuration::from_mins(minutes.expect("minutes")).as_secs(),
        settle_seconds: settle
            .and_then(|seconds| u32::try_from(seconds).ok())
            .expect("seconds"),
    }
}

#[test]
fn by_default_a_lost_event_is_made_good_in_time() {
    let deployed = deployed_by_default();
    let heartbeat = i64::from(deployed.heartbeat_seconds);
    assert!(
        heartbeat > 2 * deployed.rate_seconds + STARTS,
        "one check may fail: {deployed:?}"
    );
    assert_in_time(deployed);
}

#[test]
fn a_lost_event_is_made_good_in_time_however_set() {
    for heartbeat_seconds in [60, 200, 300, 421, 600, 721, 900, 1_800, 3_600, 7_200] {
        for rate_seconds in [60, 300, 600, 900, 1_800] {
            for settle_seconds in [0, 1, 120, 900, 3_600] {
                assert_in_time(Deployed {
                    heartbeat_seconds,
                    rate_seconds,
                    settle_seconds,
                });
            }
        }
    }
}

#[test]
fn a_hook_that_is_put_beats_as_in_the_samples() {
    let groups = [Group {
        name: "nvme-nodes".to_owned(),
        exists: true,
        retains: true,
        ..Group::default()
    }];
    let put: Vec<_> = tidegate_domain::drift::of_groups(&groups, &scope())
        .into_iter()
        .filter_map(|finding| match finding.repair {
            tidegate_domain::drift::Repair::PutHook { hook, .. } => Some(hook.heartbeat_seconds),
            _ => None,
        })
        .collect();
    assert_eq!(put, [deployed_by_default().heartbeat_seconds; 2]);
}
