use serde_json::{Value, json};
use tidegate_domain::cache::{Rate, WorkerState};

use crate::fake_world::{MB, World, worker};

const HOUR: i64 = 3_600;

fn files(count: usize, bytes: u64) -> impl Iterator<Item = (String, u64)> {
    (0..count).map(move |number| (format!("/part-{number:05}"), bytes))
}

async fn plan(world: &World) -> Value {
    let (answer, _) = world.run(HOUR, json!({ "plan": true })).await;
    assert_eq!(answer["outcome"], "planned", "{answer}");
    assert_eq!(world.saved_bytes(), 0);
    assert_eq!(world.decommissioned_at.get(), None);
    assert!(world.node.borrow().annotations.is_empty());
    answer
}

#[tokio::test]
async fn a_plan_counts_what_would_be_saved_over_as_many_calls_as_it_takes_and_changes_nothing() {
    let world = World::with_files(MB, files(20_000, 3));
    let answer = plan(&world).await;
    assert_eq!(answer["persisted"], json!({ "files": 20_000, "bytes": 60_000 }));
    assert_eq!(answer["lost"], json!({ "files": 0, "bytes": 0 }));
    assert_eq!(answer["seconds"], Value::Null, "no drain has told a rate yet");
    assert!(answer.get("progress").is_none());
}

#[tokio::test]
async fn the_rate_of_a_drain_times_the_plan_of_the_next() {
    let drained = World::with_files(10 * MB, files(10, 10 * MB));
    let (answer, _) = drained.run(HOUR, json!({})).await;
    assert_eq!(answer["outcome"], "drained", "{answer}");
    let rate = drained.rate.take().expect("a rate was noted");
    assert_eq!((rate.files, rate.bytes), (10, 100 * MB));
    let next = World::with_files(MB, files(20, 10 * MB));
    next.rate.replace(Some(Rate { seconds: 10, ..rate }));
    let answer = plan(&next).await;
    assert_eq!(
        answer["seconds"],
        20 + 120,
        "twice as much, and the wait for clients"
    );
}

#[tokio::test]
async fn files_of_a_read_only_store_need_another_worker() {
    let world = World::with_files(MB, files(2, 5));
    world.read_only.set(true);
    let answer = plan(&world).await;
    assert_eq!(answer["lost"], json!({ "files": 2, "bytes": 10 }));
    let way = answer["inTheWay"][0].as_str().expect("something");
    assert!(way.contains("no other worker is in service"), "{way}");
}

#[tokio::test]
async fn a_node_without_a_worker_has_nothing_to_drain() {
    let world = World::with_files(MB, files(2, 5));
    world.gone.set(true);
    let answer = plan(&world).await;
    assert!(answer.get("persisted").is_none(), "{answer}");
    let reason = answer["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("nothing to do: "), "{reason}");
}

#[tokio::test]
async fn only_other_workers_in_service_have_room() {
    let world = World::with_files(MB, [("/_temporary/a".to_owned(), 1 << 41)]);
    world.never_persisted.replace(vec!["_temporary".to_owned()]);
    let way = |answer: &Value| answer["inTheWay"][0].as_str().unwrap_or_default().to_owned();
    assert!(way(&plan(&world).await).contains("no other worker"));
    world
        .others
        .replace(vec![worker("10.0.1.8", WorkerState::Decommissioned)]);
    assert!(way(&plan(&world).await).contains("no other worker"));
    world.others.replace(vec![worker("10.0.1.8", WorkerState::Live)]);
    let answer = plan(&world).await;
    assert!(way(&answer).contains("free on 1 other workers"), "{answer}");
    assert_eq!(answer["replicated"]["files"], 1);
}
