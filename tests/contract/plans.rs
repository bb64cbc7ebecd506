//! Executions that only plan.

use serde_json::{Value, json};
use tidegate_domain::cache::{Amount, Forecast, Progress};
use tidegate_domain::outcome::{
    CordonOutcome, DrainOutcome, EvictOutcome, LabelOutcome, RetireOutcome, VolumesOutcome, WorkerOutcome,
};
use tidegate_domain::plan::Plan;
use tidegate_domain::resolve::Direction;

use crate::account::{Account, INSTANCE};
use crate::ending::Ending;
use crate::scene::Scene;

const LABEL: &str = "on node node-1: set label fast-disk-node=pv-nvme";
const BUDGET: &str = "pod default/spark-1: budget spark";

fn input() -> Value {
    json!({ "instanceId": INSTANCE, "plan": true })
}

fn plan_of_join(input: Value, account: Account) -> Scene {
    Scene::new(Direction::Join, input, account)
        .on("label-node", |asked| {
            let plan = Plan::default().doing(LABEL);
            asked.says(LabelOutcome::Planned, &plan.reason(), plan)
        })
        .on("provision-volumes", |asked| {
            asked.says(VolumesOutcome::Planned, "nothing to do", Plan::default())
        })
        .on("schedule-worker", |asked| {
            let plan = Plan::default().hindered("no DaemonSet");
            asked.says(WorkerOutcome::Planned, &plan.reason(), plan)
        })
}

/// A plan in which every function answers, the one of the cache after two calls.
pub(crate) fn plan_of_drain(input: Value, account: Account) -> Scene {
    Scene::new(Direction::Drain, input, account)
        .on("cordon-node", |asked| {
            let plan = Plan::default().doing("on node node-1: cordon it");
            asked.says(CordonOutcome::Planned, &plan.reason(), plan)
        })
        .on("evict-pods", |asked| {
            let plan = Plan::default()
                .doing("evict 1 pods: default/spark-1")
                .hindered(BUDGET);
            asked.says(EvictOutcome::Planned, &plan.reason(), plan)
        })
        .on("drain-cache", |asked| {
            if asked.before == 0 {
                let looking = drain_cache::Planned {
                    progress: Some(Progress::default()),
                    ..drain_cache::Planned::default()
                };
                return asked.waits(
                    DrainOutcome::Waiting,
                    "500 of 900 files have been looked at",
                    looking,
                );
            }
            let plan = Plan::default().doing("persist 2 files (10 bytes)");
            let forecast = Forecast {
                persisted: Amount { files: 2, bytes: 10 },
                seconds: Some(121),
                ..Forecast::default()
            };
            let planned = drain_cache::Planned {
                host: Some("10.0.0.7".to_owned()),
                plan,
                forecast: Some(forecast),
                ..drain_cache::Planned::default()
            };
            asked.says(DrainOutcome::Planned, &planned.plan.reason(), planned)
        })
        .on("retire-worker", |asked| {
            let plan = Plan::default().doing("delete 2 volumes: a, b");
            asked.says(RetireOutcome::Planned, &plan.reason(), plan)
        })
}

fn joining() -> Scene {
    plan_of_join(input(), Account::with_instance("Pending:Wait"))
}

fn draining() -> Scene {
    plan_of_drain(input(), Account::with_instance("Terminating:Wait"))
}

/// A walk of each kind.
pub(crate) fn joins() -> Vec<Ending> {
    let away = joining().on("provision-volumes", |asked| asked.fails("KubernetesUnavailable"));
    vec![joining().play(), away.play()]
}

/// A walk of each kind.
pub(crate) fn drains() -> Vec<Ending> {
    let mut endings = vec![draining().play()];
    for function in ["cordon-node", "evict-pods", "drain-cache", "retire-worker"] {
        let away = draining().on(function, |asked| asked.fails("KubernetesUnavailable"));
        endings.push(away.play());
    }
    endings
}

/// Nothing that changes anything was called, and nobody was told.
fn expect_no_change(ending: &Ending) {
    for action in [
        "putEvents",
        "completeLifecycleAction",
        "recordLifecycleActionHeartbeat",
        "terminateInstanceInAutoScalingGroup",
    ] {
        assert_eq!(ending.calls(action), [&Value::Null; 0], "{action}: {ending:#?}");
    }
    for call in ending.calls("invoke") {
        let plans = call["FunctionName"] == "resolve-node" || call["Payload"]["plan"] == true;
        assert!(plans, "{call:#}");
    }
}

#[test]
fn the_plan_of_a_join_has_what_each_function_would_do_and_what_is_in_its_way() {
    let ending = joining().play();
    let output = ending.result.as_ref().expect("an output");
    assert_eq!(output["outcome"], "planned");
    assert_eq!(output["would"], json!([LABEL]));
    assert_eq!(output["inTheWay"], json!(["no DaemonSet"]));
    assert_eq!(
        output["reason"],
        format!("would {LABEL}; in the way: no DaemonSet")
    );
    expect_no_change(&ending);
}

#[test]
fn the_plan_of_a_drain_has_the_forecast_too() {
    let ending = draining().play();
    let output = ending.result.as_ref().expect("an output");
    assert_eq!(output["outcome"], "planned");
    assert_eq!(output["would"].as_array().map(Vec::len), Some(4), "{output:#}");
    assert_eq!(output["inTheWay"], json!([BUDGET]));
    let forecast = &output["forecast"];
    assert_eq!(forecast["persisted"], json!({ "files": 2, "bytes": 10 }));
    assert_eq!(forecast["lost"], json!({ "files": 0, "bytes": 0 }));
    assert_eq!(forecast["seconds"], 121);
    assert_eq!(ending.asked("drain-cache").len(), 2, "the files take two calls");
    expect_no_change(&ending);
}

#[test]
fn a_plan_that_has_nothing_to_do_says_so() {
    let nothing = joining()
        .on("label-node", |asked| {
            asked.says(LabelOutcome::Planned, "nothing to do", Plan::default())
        })
        .on("schedule-worker", |asked| {
            asked.says(WorkerOutcome::Planned, "nothing to do", Plan::default())
        })
        .play();
    let output = nothing.result.as_ref().expect("an output");
    assert_eq!(
        (&output["reason"], &output["would"]),
        (&json!("nothing to do"), &json!([]))
    );
}

#[test]
fn a_plan_does_not_wait_for_a_neighbour_that_is_away() {
    for ending in joins().into_iter().skip(1).chain(drains().into_iter().skip(1)) {
        let output = ending.result.as_ref().expect("an output");
        assert_eq!(output["outcome"], "unseen", "{output:#}");
        let reason = output["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("KubernetesUnavailable"), "{reason}");
        assert!(ending.seconds < 180, "{} s", ending.seconds);
        expect_no_change(&ending);
    }
}
