//! The two minutes of a Spot interruption.

use serde_json::json;
use tidegate_domain::cache::MOST_LISTED_BYTES;

use crate::fake_world::{MB, WARNING_SECONDS, World};

fn files(count: usize, bytes: u64) -> impl Iterator<Item = (String, u64)> {
    (0..count).map(move |number| (format!("/small/part-{number:05}"), bytes))
}

#[tokio::test]
async fn what_can_all_be_saved_in_time_is_saved_and_the_drain_is_complete() {
    let world = World::with_files(100 * MB, files(40, 50 * MB));
    let (answer, ended) = world.drain().await;
    assert_eq!(answer["outcome"], "drained", "{answer}");
    assert_eq!(world.saved_bytes(), 40 * 50 * MB);
    assert_eq!(answer["idleLimitReached"], true, "clients had only what was left");
    assert!(ended <= WARNING_SECONDS, "{ended}");
}

#[tokio::test]
async fn a_large_file_of_the_last_page_is_saved_before_small_ones_of_the_first() {
    let large = (0..4).map(|number| (format!("/z-large/{number}"), 800 * MB));
    let world = World::with_files(40 * MB, files(2_000, MB / 10).chain(large));
    let (answer, _) = world.drain().await;
    assert_eq!(answer["outcome"], "incomplete", "{answer}");
    let files = world.files.borrow();
    let saved = files
        .iter()
        .filter(|(path, file)| path.starts_with("/z") && file.persisted)
        .count();
    assert_eq!(saved, 4);
}

#[tokio::test]
async fn what_is_saved_is_most_of_what_the_under_store_can_take_in_the_time() {
    let large = (0..40).map(|number| (format!("/z-large/{number:02}"), 100 * MB + number * 10 * MB));
    let world = World::with_files(40 * MB, files(600, MB).chain(large));
    world.drain().await;
    let possible = 40 * MB * (WARNING_SECONDS.unsigned_abs() - 8);
    let percent = world.saved_bytes() * 100 / possible;
    assert!(percent >= 70, "{percent} % of {possible} bytes");
}

#[tokio::test]
async fn each_file_that_could_not_be_saved_is_listed_and_the_worker_goes_out_of_service_in_the_last_moment() {
    let world = World::with_files(
        MB,
        [
            ("/a".to_owned(), 30 * MB),
            ("/b".to_owned(), 5_000 * MB),
            ("/c".to_owned(), 700 * MB),
        ],
    );
    let (answer, ended) = world.drain().await;
    assert_eq!(answer["outcome"], "incomplete");
    assert_eq!(
        answer["unsavedFiles"],
        json!([
            "/b (5000000000 bytes: not in the under store)",
            "/c (700000000 bytes: not in the under store)"
        ])
    );
    assert_eq!(
        (&answer["filesLeft"], &answer["bytesLeft"]),
        (&json!(2), &json!(5_700 * MB))
    );
    assert_eq!(answer["persistedFiles"], 1);
    assert!(answer.get("moreUnsavedFiles").is_none());
    let out = world.decommissioned_at.get().expect("out of service");
    assert!((WARNING_SECONDS - 8..=WARNING_SECONDS).contains(&out), "{out}");
    assert!(ended <= WARNING_SECONDS, "{ended}");
}

#[tokio::test]
async fn of_many_files_that_could_not_be_saved_as_many_are_listed_as_an_event_has_room_for() {
    let world = World::with_files(0, files(1_400, MB));
    let (answer, _) = world.drain().await;
    let listed = answer["unsavedFiles"].as_array().expect("a list").len() as u64;
    let more = answer["moreUnsavedFiles"].as_u64().expect("more");
    assert_eq!(answer["filesLeft"], 1_400);
    assert_eq!(listed + more, 1_400);
    assert!(listed > 300);
    assert!(answer["unsavedFiles"].to_string().len() <= MOST_LISTED_BYTES + 2);
}

#[tokio::test]
async fn a_file_with_a_copy_elsewhere_is_not_told_as_lost() {
    let world = World::with_files(0, [("/here".to_owned(), MB), ("/there".to_owned(), 9 * MB)]);
    if let Some(file) = world.files.borrow_mut().get_mut("/there") {
        file.elsewhere = true;
    }
    let (answer, _) = world.drain().await;
    assert_eq!(
        answer["unsavedFiles"],
        json!(["/here (1000000 bytes: not in the under store)"])
    );
    assert_eq!(answer["bytesLeft"], MB);
}
