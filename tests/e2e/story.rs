//! What several cases look at.

use crate::world::{Execution, Group, Machine, World, eventually};

pub(crate) const STARTUP_TAINT: &str = "startup-taint.cluster-autoscaler.kubernetes.io/tidegate";

/// Waits for the end of the `cluster-bootstrap` that the stack has started by itself.
pub(crate) async fn set_up_by_the_stack(world: &World) -> Execution {
    let started = eventually(60, "the stack has started cluster-bootstrap", async || {
        let begun = world.all(Machine::Bootstrap).await;
        begun.first().cloned().ok_or(())
    })
    .await;
    let ended = world.ended(&started, 420).await;
    assert!(ended.input.contains("CREATE_COMPLETE"), "{}", ended.input);
    ended.expect("ready");
    ended
}

/// Fails unless a node is open, with a volume for each disk and a worker in service.
pub(crate) async fn expect_joined(group: &Group, instance: &str, disks: usize) {
    let world = &group.world;
    let labels = world.labels(instance).await;
    assert_eq!(
        labels.get("fast-disk-node").map(String::as_str),
        Some("pv-nvme"),
        "{labels:?}"
    );
    assert_eq!(
        labels.get("tidegate.dev/instance-id").map(String::as_str),
        Some(instance),
        "{labels:?}"
    );
    let volumes = world.volumes(instance).await;
    assert_eq!(volumes, vec![("Bound".to_owned(), "273Gi".to_owned()); disks]);
    assert!(
        !world.taints(instance).await.contains(&STARTUP_TAINT.to_owned()),
        "the node is not open"
    );
    let (_, host) = world.node_address(instance).await;
    assert!(
        world.worker_hosts("LIVE").await.contains(&host),
        "worker {host} is not in service"
    );
}

/// Scales in to one node less by ending that one, and waits until it has left; answers its drain.
pub(crate) async fn drain(group: &Group, instance: &str) -> Execution {
    group.terminate(instance).await;
    group.has_left(instance, 180).await;
    group.world.ended_for(Machine::Drain, instance, 30).await
}

/// Fails unless nothing of a node that has left is to be seen: no node, no volume, no worker in service.
pub(crate) async fn expect_gone(group: &Group, instance: &str, host: &str) {
    let world = &group.world;
    eventually(
        30,
        &format!("the node of {instance} is gone"),
        async || match world.node(instance).await {
            None => Ok(()),
            Some(node) => Err(node.metadata.name),
        },
    )
    .await;
    assert_eq!(world.volumes(instance).await, vec![]);
    assert!(
        !world.worker_hosts("LIVE").await.contains(&host.to_owned()),
        "worker {host} is still in service"
    );
}
