//! Whole drains of a worker whose under store is slow, away, or takes some files only.

use serde_json::{Value, json};

use crate::fake_world::{MB, World};

const DAY: i64 = 86_400;

fn files(count: usize, bytes: u64) -> impl Iterator<Item = (String, u64)> {
    (0..count).map(move |number| (format!("/part-{number:06}"), bytes))
}

async fn drained(world: &World) -> Value {
    let (answer, _) = world.run(2 * DAY, json!({})).await;
    assert_eq!(answer["outcome"], "drained", "{answer}");
    answer
}

/// Drains it, and compares the time that it took until all was saved with the shortest that the under store allows.
async fn assert_nearly_best(world: &World, bytes: u64, bytes_a_second: u64) {
    drained(world).await;
    let best = i64::try_from(bytes / bytes_a_second).expect("seconds");
    let took = world.decommissioned_at.get().expect("out of service");
    assert!(took * 2 <= best * 3, "{took} s, and {best} s at best");
}

#[tokio::test]
async fn however_slow_the_store_is_time_is_not_lost() {
    for (count, bytes, bytes_a_second, streams) in [
        (128, 1_000 * MB, 500 * MB, 100),
        (128, 512 * MB, 400 * MB, 100),
        (128, 256 * MB, 200 * MB, 40),
        (1_000, 64 * MB, 100 * MB, 20),
        (12, 10_000 * MB, 40 * MB, 10),
        (12, 40 * MB, 17 * MB / 10, 10),
        (3, 10_000 * MB, 5 * MB, 10),
        (5_000, MB, 5 * MB, 20),
    ] {
        let world = World::with_files(bytes_a_second, files(count, bytes));
        world.streams.set(streams);
        assert_nearly_best(&world, count as u64 * bytes, bytes_a_second).await;
    }
}

#[tokio::test]
async fn even_the_slowest_store_gets_a_large_file_in_the_end() {
    let world = World::with_files(5 * MB, files(3, 40_000 * MB));
    drained(&world).await;
    let out = world.decommissioned_at.get().expect("out of service");
    assert!(out < 2 * 24_000, "{out} s");
}

#[tokio::test]
async fn a_takeover_begins_no_job_anew() {
    let world = World::with_files(6 * MB, files(12, 40 * MB));
    world.forgets_each.set(2);
    assert_nearly_best(&world, 480 * MB, 6 * MB).await;
    assert_eq!((world.asked.get(), world.begun_anew.get()), (12, 0));
}

#[tokio::test]
async fn a_call_that_was_cut_off_begins_no_job_anew() {
    let world = World::with_files(6 * MB, files(12, 40 * MB));
    world.cuts_off_each.set(2);
    assert_nearly_best(&world, 480 * MB, 6 * MB).await;
    assert_eq!((world.asked.get(), world.begun_anew.get()), (12, 0));
}

#[tokio::test]
async fn what_alluxio_persists_by_itself_is_waited_for() {
    let world = World::with_files(2 * MB, files(200, 4 * MB));
    for (path, _) in files(200, 0) {
        world.persist_by_itself(&path);
    }
    assert_nearly_best(&world, 800 * MB, 2 * MB).await;
    assert_eq!(world.asked.get(), 0);
}

/// Files that clients have written with `ASYNC_THROUGH`, and that Alluxio begins with on a command only.
fn awaiting_command(count: usize, bytes: u64, bytes_a_second: u64) -> World {
    let world = World::with_files(bytes_a_second, files(count, bytes));
    for (path, _) in files(count, 0) {
        world.await_command(&path);
    }
    world
}

#[tokio::test]
async fn what_alluxio_awaits_a_command_for_is_asked() {
    for (count, bytes, bytes_a_second) in [
        (2, 4 * MB, 100 * MB),
        (200, 4 * MB, 2 * MB),
        (12, 40 * MB, 2 * MB),
    ] {
        let world = awaiting_command(count, bytes, bytes_a_second);
        world.awaits_command.set(true);
        drained(&world).await;
        let best = i64::try_from(count as u64 * bytes / bytes_a_second).expect("seconds");
        let took = world.decommissioned_at.get().expect("out of service");
        assert!(
            took * 2 <= best * 3 + 60,
            "{count}: {took} s, and {best} s at best"
        );
        assert_eq!(world.asked.get(), count as u64);
    }
}

#[tokio::test]
async fn a_client_may_have_alluxio_await_a_command() {
    let world = awaiting_command(1_000, 4 * MB, 2 * MB);
    assert_nearly_best(&world, 4_000 * MB, 2 * MB).await;
}

#[tokio::test]
async fn a_takeover_begins_one_job_anew_at_most() {
    let world = World::with_files(6 * MB, files(12, 40 * MB));
    world.awaits_command.set(true);
    world.forgets_each.set(2);
    assert_nearly_best(&world, 480 * MB, 6 * MB).await;
    assert!(
        world.begun_anew.get() <= world.calls.get() / 2,
        "{}",
        world.begun_anew.get()
    );
}

#[tokio::test]
async fn a_spot_warning_leaves_time_for_what_awaits() {
    let world = awaiting_command(100, 8 * MB, 10 * MB);
    world.awaits_command.set(true);
    world.drain().await;
    assert_eq!(world.saved_bytes(), 800 * MB);
}

#[tokio::test]
async fn a_store_that_comes_back_is_used_at_once() {
    let world = World::with_files(50 * MB, files(2_000, MB));
    world.away_until.set(5_000);
    drained(&world).await;
    let out = world.decommissioned_at.get().expect("out of service");
    assert!(out < 5_000 + 400, "{out}");
}

#[tokio::test]
async fn past_its_deadline_a_drain_that_holds_on_keeps_its_width() {
    let world = World::with_files(50 * MB, files(2_000, MB));
    world.away_until.set(3_600);
    world.holds_on_until.set(Some(2 * DAY));
    let (answer, _) = world.run(3_500, json!({})).await;
    assert_eq!(answer["outcome"], "drained", "{answer}");
    let out = world.decommissioned_at.get().expect("out of service");
    assert!(out < 3_600 + 700, "{out}");
}

#[tokio::test]
async fn files_that_the_store_refuses_are_copied_instead() {
    let refused = (0..60).map(|number| (format!("/refused/{number}"), MB));
    let world = World::with_files(20 * MB, files(500, MB).chain(refused));
    world.refused.replace(vec!["/refused/".to_owned()]);
    world.copied_a_second.set(100 * MB);
    let answer = drained(&world).await;
    assert_eq!(answer["replicatedFiles"], 60, "{answer}");
    assert_eq!(answer["persistedFiles"], 500, "{answer}");
    let reason = answer["reason"].as_str().expect("a reason");
    assert!(reason.contains("60 files are only copied"), "{reason}");
    let out = world.decommissioned_at.get().expect("out of service");
    assert!(out < 900, "{out}");
}

#[tokio::test]
async fn more_refused_files_than_are_asked_for_at_a_time_hold_up_none() {
    let refused = (0..400).map(|number| (format!("/a-refused/{number}"), MB));
    let world = World::with_files(20 * MB, files(500, MB).chain(refused));
    world.refused.replace(vec!["/a-refused/".to_owned()]);
    world.copied_a_second.set(100 * MB);
    drained(&world).await;
    let out = world.decommissioned_at.get().expect("out of service");
    assert!(out < 1_500, "{out}");
}

#[tokio::test]
async fn while_no_store_takes_anything_all_is_copied() {
    let world = World::with_files(20 * MB, files(3_000, MB));
    world.away_until.set(2 * DAY);
    world.copied_a_second.set(100 * MB);
    let answer = drained(&world).await;
    assert_eq!(answer["replicatedFiles"], 3_000, "{answer}");
}

#[tokio::test]
async fn a_path_that_is_silently_never_persisted_is_copied() {
    let world = World::with_files(20 * MB, files(10, MB).chain([("/odd/a".to_owned(), MB)]));
    world.silently_ignored.replace(vec!["/odd/".to_owned()]);
    world.copied_a_second.set(100 * MB);
    let answer = drained(&world).await;
    assert_eq!(answer["replicatedFiles"], 1, "{answer}");
    assert!(world.decommissioned_at.get().expect("out of service") < 60);
}

#[tokio::test]
async fn a_file_that_nobody_takes_is_named_and_the_others_are_saved() {
    let world = World::with_files(20 * MB, files(300, MB).chain([("/refused".to_owned(), MB)]));
    world.refused.replace(vec!["/refused".to_owned()]);
    let (answer, _) = world.run(3_600, json!({})).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer}");
    assert_eq!(answer["filesLeft"], 1);
    assert_eq!(answer["persistedFiles"], 300);
    let reason = answer["reason"].as_str().expect("a reason");
    assert!(reason.contains("/refused"), "{reason}");
}

#[tokio::test]
async fn files_without_a_name_are_told_and_do_not_spin() {
    let world = World::with_files(20 * MB, files(10, MB));
    world.unnamed.set(3);
    let (answer, _) = world.run(3_600, json!({})).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer}");
    let reason = answer["reason"].as_str().expect("a reason");
    assert!(reason.contains("3 files without a name"), "{reason}");
    assert!(world.calls.get() < 200, "{} calls", world.calls.get());
}

/// A round of this branch makes 16 events, and the branch beside it a third of 25,000 in two days.
#[tokio::test]
async fn two_days_with_a_million_files_fit_into_a_history() {
    let million = (0..1_000_000).map(|number| (format!("/{number:07}"), 1));
    let world = World::with_files(MB, million);
    for (path, file) in world.files.borrow_mut().iter_mut() {
        file.persisted = path != "/0500000";
    }
    world.refused.replace(vec!["/0500000".to_owned()]);
    let (answer, ended) = world.run(2 * DAY, json!({})).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer}");
    assert!(ended >= 2 * DAY);
    let events = world.calls.get() * 16;
    assert!(events < 16_000, "{events} events");
}

#[tokio::test]
async fn pages_adapt_to_a_worker_that_is_slow_to_list_them() {
    for milliseconds in [10, 60, 400] {
        let world = World::with_files(20 * MB, files(600, MB));
        world.milliseconds_a_file.set(milliseconds);
        drained(&world).await;
        assert_eq!(world.saved_bytes(), 600 * MB);
    }
}

#[tokio::test]
async fn paths_of_any_length_are_saved_within_what_is_carried() {
    let long = |number: usize| {
        let path = ["/x", "/\"\\", "/\u{1}\n", "/ü漢"][number % 4];
        (format!("/{number}{}", path.repeat(30 + number * 20)), MB)
    };
    let world = World::with_files(MB, (0..300).map(long).chain([("/y".repeat(30_000), MB)]));
    drained(&world).await;
    assert_eq!(world.saved_bytes(), 301 * MB);
}

#[tokio::test]
async fn what_the_store_has_no_time_for_is_copied_from_a_spot_instance() {
    let world = World::with_files(10 * MB, files(40, 200 * MB));
    world.copied_a_second.set(200 * MB);
    let (answer, _) = world.drain().await;
    assert_eq!(answer["outcome"], "drained", "{answer}");
    assert!(world.saved_bytes() >= 400 * MB, "{}", world.saved_bytes());
}
