//! What the last call of a drain says of what was never saved.

use serde_json::{Value, json};

use crate::fake_world::{MB, World};

/// Two files in front of an under store that takes no bytes.
fn stuck() -> World {
    World::with_files(0, [("/a".to_owned(), 30 * MB), ("/b".to_owned(), 50 * MB)])
}

fn seen_before() -> Value {
    let look =
        json!({ "files": 2, "bytes": 80 * MB, "named": ["/a (30000000 bytes: not in the under store)"] });
    json!({ "lastLook": look })
}

fn hook(default_result: &str) -> Value {
    json!({ "name": "h", "heartbeatSeconds": 300, "globalSeconds": 30_000, "defaultResult": default_result })
}

fn node(retains: bool, default_result: &str) -> Value {
    json!({
        "instanceId": "i-0123456789abcdef0",
        "autoScalingGroup": "nvme",
        "availabilityZone": "us-west-2a",
        "instanceType": "m5d.4xlarge",
        "lifecycleState": "Terminating:Wait",
        "disks": [],
        "diskLayout": "none",
        "hook": hook(default_result),
        "retains": retains,
    })
}

#[tokio::test]
async fn a_worker_gone_with_unsaved_files_is_a_loss() {
    let world = stuck();
    world.gone.set(true);
    let (answer, _) = world.run(3_600, json!({ "progress": seen_before() })).await;
    assert_eq!(answer["outcome"], "lost", "{answer:#}");
    assert_eq!(answer["filesLeft"], 2);
    assert_eq!(
        answer["unsavedFiles"],
        json!(["/a (30000000 bytes: not in the under store)"])
    );
    assert_eq!(answer["moreUnsavedFiles"], 1);
    assert_eq!(*world.lost.borrow(), [80e6]);
}

#[tokio::test]
async fn a_worker_gone_with_nothing_unsaved_is_absent() {
    let world = stuck();
    world.gone.set(true);
    let (answer, _) = world.run(3_600, json!({})).await;
    assert_eq!(answer["outcome"], "absent", "{answer:#}");
    assert!(world.lost.borrow().is_empty());
}

#[tokio::test]
async fn a_held_drain_counts_no_lost_bytes() {
    let world = stuck();
    let (answer, _) = world.run(60, json!({ "node": node(false, "ABANDON") })).await;
    assert_eq!(answer["outcome"], "incomplete", "{answer:#}");
    assert_eq!(answer["bytesLeft"], 80 * MB);
    assert!(world.lost.borrow().is_empty(), "the hook still holds them");
}

#[tokio::test]
async fn an_ended_hook_brings_one_look_and_the_list() {
    let world = stuck();
    for (retains, default_result, lost) in [
        (false, "ABANDON", vec![80e6]),
        (true, "CONTINUE", vec![80e6]),
        (true, "ABANDON", vec![]),
    ] {
        world.lost.take();
        let more = json!({ "node": node(retains, default_result), "hookOver": true });
        let (answer, ended) = world.run(172_800, more).await;
        assert_eq!(answer["outcome"], "incomplete", "{answer:#}");
        assert_eq!(answer["unsavedFiles"].as_array().map(Vec::len), Some(2));
        assert_eq!(*world.lost.borrow(), lost, "{retains} {default_result}");
        assert!(ended < 60, "{ended}");
        assert_eq!(world.decommissioned_at.get(), None, "a kept worker is needed");
    }
}

#[tokio::test]
async fn a_look_through_all_files_is_told_by_later_calls() {
    let world = stuck();
    let (answer, _) = world.run(60, json!({})).await;
    assert_eq!(answer["progress"]["lastLook"]["bytes"], 80 * MB, "{answer:#}");
}
