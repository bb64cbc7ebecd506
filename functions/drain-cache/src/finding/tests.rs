use serde_json::{Value, json};
use tidegate_domain::cache::WorkerState;

use crate::fake_world::{HERE, MB, World, worker};

const HOUR: i64 = 3_600;

fn file() -> World {
    World::with_files(MB, [("/only-here".to_owned(), 10 * MB)])
}

fn without_node() -> World {
    let world = file();
    world.nodeless.set(true);
    world
}

/// The node in a call, with what EC2 tells of it.
fn instance(more: &Value) -> Value {
    let mut node = json!({
        "instanceId": "i-0123456789abcdef0",
        "autoScalingGroup": "nvme",
        "availabilityZone": "us-west-2a",
        "instanceType": "m5d.4xlarge",
        "lifecycleState": "Terminating:Wait",
        "disks": [],
        "diskLayout": "none",
        "hook": null,
        "retains": true,
    });
    for (name, value) in more.as_object().expect("fields") {
        node[name] = value.clone();
    }
    json!({ "node": node })
}

fn running() -> Value {
    instance(&json!({ "nodeName": "ip-10-0-1-7", "privateAddress": HERE, "instanceState": "running" }))
}

fn reason(answer: &Value) -> &str {
    answer["reason"].as_str().expect("a reason")
}

#[tokio::test]
async fn a_silent_worker_of_a_stopping_machine_is_gone() {
    for (state, outcome) in [("shutting-down", "absent"), ("running", "incomplete")] {
        let world = World::with_files(MB, [("/a".to_owned(), MB)]);
        world.silent.set(true);
        world.instance_state.set(Some(state));
        let (answer, ended) = world.run(600, json!({})).await;
        assert_eq!(answer["outcome"], outcome, "{answer}");
        assert_eq!(ended < 20, outcome == "absent", "{ended} s");
        let reason = answer["reason"].as_str().expect("a reason");
        assert!(reason.contains("does not tell its files"), "{reason}");
    }
}

#[tokio::test]
async fn a_worker_without_a_node_object_is_saved() {
    let world = without_node();
    let (answer, _) = world.run(HOUR, running()).await;
    assert_eq!(answer["outcome"], "drained", "{answer}");
    assert_eq!(world.saved_bytes(), 10 * MB);
    assert!(world.decommissioned_at.get().is_some());
    assert_eq!(answer["host"], HERE);
}

#[tokio::test]
async fn without_a_node_its_clients_are_waited_for() {
    let world = without_node();
    let (answer, ended) = world.run(HOUR, running()).await;
    assert_eq!(answer["outcome"], "drained", "{answer}");
    let decommissioned_at = world.decommissioned_at.get().expect("out of service");
    assert!(ended - decommissioned_at >= 120, "{decommissioned_at} to {ended}");
}

#[tokio::test]
async fn an_absent_worker_is_told_with_its_evidence() {
    let world = without_node();
    world.gone.set(true);
    let (answer, ended) = world.run(HOUR, running()).await;
    assert_eq!(answer["outcome"], "absent", "{answer}");
    assert!(
        reason(&answer).contains("neither ip-10-0-1-7 nor any other"),
        "{answer}"
    );
    assert!(
        reason(&answer).contains("Alluxio knows no worker at 10.0.1.7"),
        "{answer}"
    );
    assert!(ended >= 4, "one look is not enough");
}

#[tokio::test]
async fn a_worker_nobody_can_find_is_not_drained() {
    let world = without_node();
    let unknown = instance(&json!({}));
    let (answer, _) = world.run(HOUR, unknown).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer}");
    assert!(reason(&answer).contains("tells an address"), "{answer}");
    assert_eq!(world.decommissioned_at.get(), None);
}

#[tokio::test]
async fn one_of_two_workers_is_not_taken_out_of_service() {
    let world = file();
    let mut twin = worker(HERE, WorkerState::Live);
    twin.rpc_port += 1;
    world.others.replace(vec![twin]);
    let (answer, _) = world.run(600, running()).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer}");
    assert!(reason(&answer).contains("2 workers in service"), "{answer}");
    assert_eq!(world.decommissioned_at.get(), None);
    assert_eq!(world.saved_bytes(), 10 * MB, "what can be saved is saved");
}

#[tokio::test]
async fn a_node_that_never_opened_is_proven_empty() {
    let world = file();
    world.gone.set(true);
    world.node.borrow_mut().startup_taint = true;
    let (answer, _) = world.run(HOUR, running()).await;
    assert_eq!(answer["outcome"], "absent", "{answer}");
    assert_eq!(answer["provenEmpty"], true);
    world.node.borrow_mut().startup_taint = false;
    let (answer, _) = world.run(HOUR, running()).await;
    assert_eq!(answer.get("provenEmpty"), None);
}

#[tokio::test]
async fn the_plan_of_a_drain_without_a_node_tells_its_files() {
    let mut plan = running();
    plan["plan"] = json!(true);
    let (answer, _) = without_node().run(HOUR, plan).await;
    assert_eq!(answer["outcome"], "planned", "{answer}");
    assert_eq!(answer["persisted"], json!({ "files": 1, "bytes": 10 * MB }));
}
