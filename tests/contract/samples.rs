//! What a reader copies from `samples/` works.

use std::fs;

use serde_json::Value;
use tidegate_domain::resolve::Direction;

use crate::account::{Account, scope};
use crate::answers::{drained, ready, saving};
use crate::drain::drain;
use crate::join::join;
use crate::plans::plan_of_drain;
use crate::repository::{json, root};
use crate::scene::{Asked, Scene};
use crate::template::template;

fn samples(folder: &str) -> Vec<(String, Value)> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut paths: Vec<_> = entries
        .map(|entry| {
            format!(
                "{folder}/{}",
                entry.expect("readable").file_name().to_string_lossy()
            )
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder} is empty");
    paths
        .into_iter()
        .map(|path| (path.clone(), json(&path)))
        .collect()
}

#[test]
fn each_sample_input_is_one_that_its_state_machine_understands() {
    for (path, input) in samples("samples/events")
        .into_iter()
        .chain(samples("samples/executions"))
        .filter(|(path, _)| !path.contains("drift-check") && !of_the_cluster(path))
    {
        let joins = path.contains("join") || path.contains("launch");
        let plans = input["plan"] == true;
        let state = match joins {
            _ if path.contains("warm-pool") => "Warmed:Pending:Wait",
            true => "Pending:Wait",
            false => "Terminating:Wait",
        };
        let account = Account::with_instance(state);
        let ending = match (joins, plans) {
            (true, _) => join(input, account).play(),
            (false, false) => drain(input, account).play(),
            (false, true) => plan_of_drain(input, account).play(),
        };
        let (outcome, hook_results): (_, &[&str]) = match path.rsplit('/').next().unwrap_or_default() {
            _ if plans => ("planned", &[]),
            "health-scheduled-change.json" | "node-drain-several.json" => ("fanned-out", &[]),
            "test-notification.json" | "instance-refresh-started.json" => ("ignored", &[]),
            "warm-pool-launch-lifecycle-action.json" => ("ignored", &["CONTINUE"]),
            _ if joins => ("joined", &["CONTINUE"]),
            _ => ("drained", &["CONTINUE"]),
        };
        let output = ending.result.as_ref().expect("an output");
        assert_eq!(output["outcome"], outcome, "{path}: {output:#}");
        assert_eq!(ending.hook_results(), hook_results, "{path}");
    }
}

fn of_the_cluster(path: &str) -> bool {
    path.contains("cluster-") || path.contains("stack-completed")
}

#[test]
fn the_sample_inputs_of_a_destroy_are_understood_for_the_cluster_that_they_name() {
    let inputs: Vec<_> = samples("samples/executions")
        .into_iter()
        .filter(|(path, _)| path.contains("cluster-destroy"))
        .collect();
    assert_eq!(inputs.len(), 2, "a plan, and the destroy itself");
    for (path, input) in inputs {
        let named = input["cluster"].as_str().unwrap_or_default();
        let request = tidegate_domain::destroy::Request::read(&input, named).expect("understood");
        assert_eq!(request.plan, path.contains("plan"), "{path}");
        assert!(!request.accept_data_loss, "{path}: nobody copies that by mistake");
        assert!(
            tidegate_domain::destroy::Request::read(&input, "another").is_err(),
            "{path}"
        );
    }
}

#[test]
fn the_sample_inputs_of_setting_up_are_understood() {
    let inputs: Vec<_> = samples("samples/executions")
        .into_iter()
        .chain(samples("samples/events"))
        .filter(|(path, _)| path.contains("cluster-bootstrap") || path.contains("stack-completed"))
        .collect();
    assert_eq!(inputs.len(), 2, "a plan, and the event of a stack");
    for (path, input) in inputs {
        let request = tidegate_domain::bootstrap::Request::read(&input);
        assert!(request.is_ok(), "{path}: {request:?}");
    }
}

#[test]
fn the_sample_inputs_of_the_drift_check_are_understood() {
    let inputs: Vec<_> = samples("samples/executions")
        .into_iter()
        .filter(|(path, _)| path.contains("drift-check"))
        .collect();
    assert!(inputs.len() >= 2, "a plan and a repair");
    for (path, input) in inputs {
        let request = tidegate_domain::drift::Request::read(&input);
        assert!(request.is_ok(), "{path}: {request:?}");
    }
}

#[test]
fn the_sample_hooks_are_the_ones_that_the_template_expects() {
    let template = template();
    for (direction, file, parameter) in [
        (Direction::Join, "node-join.json", "JoinHookName"),
        (Direction::Drain, "node-drain.json", "DrainHookName"),
    ] {
        let path = format!("samples/lifecycle-hooks/{file}");
        let hook = json(&path);
        assert_eq!(hook["LifecycleHookName"], scope().hook(direction), "{path}");
        assert_eq!(hook["LifecycleTransition"], direction.transition(), "{path}");
        assert_eq!(
            template["Parameters"][parameter]["Default"], hook["LifecycleHookName"],
            "{parameter} in infra/template.yaml and {path}"
        );
    }
}

/// A function is ended by Lambda after 30 s; each is tried four times before the next beat.
#[test]
fn the_sample_hooks_outlast_a_function_that_hangs_in_every_attempt() {
    let hangs = |asked: &Asked| asked.hangs(30);
    for (direction, file) in [
        (Direction::Join, "node-join.json"),
        (Direction::Drain, "node-drain.json"),
    ] {
        let path = format!("samples/lifecycle-hooks/{file}");
        let heartbeat = json(&path)["HeartbeatTimeout"]
            .as_u64()
            .and_then(|seconds| u32::try_from(seconds).ok());
        let heartbeat = heartbeat.unwrap_or_else(|| panic!("{path}: HeartbeatTimeout"));
        let scene: Scene = match direction {
            Direction::Join => {
                let account = Account::with_instance("Pending:Wait").with_heartbeat(heartbeat);
                join(json("samples/executions/node-join.json"), account).on("schedule-worker", move |asked| {
                    if asked.age() < 1_200 {
                        hangs(asked)
                    } else {
                        ready(asked)
                    }
                })
            }
            Direction::Drain => {
                let account = Account::with_instance("Terminating:Wait").with_heartbeat(heartbeat);
                drain(json("samples/executions/node-drain.json"), account).on("drain-cache", move |asked| {
                    match asked.age() {
                        0..1_200 => saving(asked),
                        1_200..2_400 => hangs(asked),
                        _ => drained(asked),
                    }
                })
            }
        };
        let ending = scene.play();
        assert_eq!(ending.hook_results(), ["CONTINUE"], "{path}: {:#}", ending.told());
    }
}
