//! Files that lost a block on another worker before the drain began.

use serde_json::{Value, json};
use tidegate_domain::cache::{MOST_LOSSES_BYTES, WorkerState};

use crate::fake_world::{MB, World, worker};

const HOUR: i64 = 3_600;

/// A worker with an intact file and a broken one.
fn world(broken: &str) -> World {
    let world = World::with_files(10 * MB, [("/intact".to_owned(), MB), (broken.to_owned(), MB)]);
    break_file(&world, broken);
    world
}

fn break_file(world: &World, path: &str) {
    if let Some(file) = world.files.borrow_mut().get_mut(path) {
        file.broken = true;
    }
}

async fn drained(world: &World) -> Value {
    let (answer, ended) = world.run(HOUR, json!({})).await;
    assert_eq!(answer["outcome"], "drained", "{answer}");
    assert!(ended < HOUR / 2, "{ended}");
    answer
}

fn named(answer: &Value) -> Vec<&str> {
    let files = answer["brokenFiles"].as_array().expect("a list").iter();
    files
        .filter_map(|file| file.as_str()?.split(' ').next())
        .collect()
}

#[tokio::test]
async fn what_is_left_is_copied_and_the_file_named() {
    let world = world("/broken");
    world.room.set(Some(10 * MB));
    let answer = drained(&world).await;
    assert!(world.files.borrow()["/broken"].elsewhere);
    assert!(world.files.borrow()["/intact"].persisted);
    assert_eq!(named(&answer), ["/broken"]);
    assert_eq!(answer["filesLeft"], 0);
    assert_eq!(answer["replicatedFiles"], 1);
    let reason = answer["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("1 files (1000000 bytes), such as /broken"),
        "{reason}"
    );
    assert!(reason.contains("broken before this drain"), "{reason}");
}

#[tokio::test]
async fn what_fits_on_no_worker_holds_nobody() {
    for room in [None, Some(1)] {
        let world = world("/broken");
        world.room.set(room);
        let answer = drained(&world).await;
        assert!(!world.files.borrow()["/broken"].elsewhere);
        assert_eq!(named(&answer), ["/broken"]);
    }
}

#[tokio::test]
async fn a_draining_worker_may_have_the_lost_blocks() {
    let world = world("/spread");
    let other = worker("10.0.1.8", WorkerState::Decommissioned);
    world.others.replace(vec![other]);
    let (answer, _) = world.run(HOUR, json!({})).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer}");
    let kept = answer["namedFiles"][0].as_str().expect("a name");
    assert!(kept.starts_with("/spread"), "{kept}");
    assert!(answer.get("brokenFiles").is_none(), "{answer}");
    assert_eq!(world.decommissioned_at.get(), None);
}

#[tokio::test]
async fn a_broken_file_on_the_blacklist_holds_nobody() {
    let world = world("/_temporary/broken");
    world.never_persisted.replace(vec!["_temporary".to_owned()]);
    assert_eq!(named(&drained(&world).await), ["/_temporary/broken"]);
}

#[tokio::test]
async fn an_intact_file_that_fits_nowhere_is_kept() {
    let world = world("/broken");
    world.never_persisted.replace(vec!["/intact".to_owned()]);
    world.room.set(Some(1));
    let (answer, _) = world.run(HOUR, json!({})).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer}");
    assert_eq!(answer["filesLeft"], 1);
    let kept = answer["namedFiles"][0].as_str().expect("a name");
    assert!(
        kept.ends_with(": no other worker has 1000000 bytes free)"),
        "{kept}"
    );
}

#[tokio::test]
async fn a_broken_file_is_not_lost_with_a_spot_instance() {
    let world = world("/broken");
    let (answer, _) = world.drain().await;
    assert_eq!(answer["outcome"], "drained", "{answer}");
    assert_eq!(named(&answer), ["/broken"]);
    assert!(answer.get("unsavedFiles").is_none(), "{answer}");
}

#[tokio::test]
async fn of_many_broken_files_the_rest_is_counted() {
    let path = |number| format!("/{}{number}", "\"".repeat(600));
    let world = World::with_files(10 * MB, (0..2_000).map(|number| (path(number), 1)));
    for number in 0..2_000 {
        break_file(&world, &path(number));
    }
    let answer = drained(&world).await;
    let listed = answer["brokenFiles"].as_array().expect("a list").len() as u64;
    assert_eq!(listed + answer["moreBrokenFiles"].as_u64().expect("more"), 2_000);
    assert!(listed > 0);
    assert!(answer["brokenFiles"].to_string().len() <= MOST_LOSSES_BYTES);
}

#[tokio::test]
async fn a_plan_counts_broken_files_apart() {
    let world = world("/broken");
    world.room.set(Some(10 * MB));
    let (answer, _) = world.run(HOUR, json!({ "plan": true })).await;
    assert_eq!(answer["persisted"], json!({ "files": 1, "bytes": MB }));
    assert_eq!(answer["broken"], json!({ "files": 1, "bytes": MB }));
    assert_eq!(answer["lost"], json!({ "files": 0, "bytes": 0 }));
    assert_eq!(named(&answer), ["/broken"]);
    assert!(!world.files.borrow()["/broken"].elsewhere);
}
