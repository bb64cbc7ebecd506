//! Cluster Autoscaler takes a node away.

use crate::story::{expect_gone, expect_joined};
use crate::world::{ClusterAutoscaler, Group, Machine, TWO_DISKS, WriteType};

#[tokio::test]
async fn a_node_that_cluster_autoscaler_takes_is_drained_once_however_often_it_names_the_instance() {
    let group = Group::with_nodes("case-autoscaler", TWO_DISKS, 2).await;
    let world = &group.world;
    let instances = group.in_service(2).await;
    let (instance, stays) = (&instances[0], &instances[1]);
    let (node, host) = world.node_address(instance).await;
    world.application_pod("case-autoscaler", &node).await;
    let file = world
        .write("/case-autoscaler/cache", WriteType::MustCache, &host)
        .await;
    let autoscaler = ClusterAutoscaler(&group);
    assert!(autoscaler.may_choose(instance).await);
    autoscaler.marks(&node).await;

    // Once it gives up, and the node is used on.
    autoscaler.begins(&node).await;
    autoscaler.gives_up(&node).await;
    expect_joined(&group, instance, 2).await;
    assert!(!world.cordoned(instance).await);

    autoscaler.begins(&node).await;
    let evicted = autoscaler.evicts(&node).await;
    assert!(evicted.contains(&"case-autoscaler".to_owned()), "{evicted:?}");
    let is_worker = |name: &String| name.starts_with("alluxio-worker");
    assert!(
        !evicted.iter().any(is_worker),
        "before it is drained: {evicted:?}"
    );
    assert!(world.pods_on(&node).await.iter().any(is_worker));
    assert!(world.worker_hosts("LIVE").await.contains(&host));
    assert!(world.executions_for(Machine::Drain, instance).await.is_empty());

    let mut asked = 0;
    while autoscaler.terminates(instance).await {
        asked += 1;
        assert_eq!(group.desired_capacity().await, 1, "after {asked} calls");
        world.pass(1).await;
    }
    assert!(asked > 3, "it named the instance {asked} times");
    group.has_left(instance, 10).await;
    // That the instance ends is told on the bus as well, and starts others, which find nothing to do.
    let (mut drained, mut others) = (Vec::new(), Vec::new());
    for started in world.executions_for(Machine::Drain, instance).await {
        let ended = world.ended(&started, 60).await;
        match ended.output["outcome"].as_str() {
            Some("drained") => drained.push(ended),
            _ => others.push(ended),
        }
    }
    assert_eq!(drained.len(), 1, "{drained:#?}");
    assert!(
        others.iter().all(|ended| ended.status == "SUCCEEDED"),
        "{others:#?}"
    );
    let execution = &drained[0];
    assert_eq!(
        execution.seen("drainCache")["persistedFiles"],
        1,
        "{execution:#?}"
    );
    world.expect_intact(&[file]).await;
    expect_gone(&group, instance, &host).await;
    let ended: Vec<_> = group
        .activities()
        .await
        .into_iter()
        .filter(|activity| activity.contains("Terminating EC2 instance"))
        .collect();
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert!(ended[0].starts_with("Successful"), "{ended:?}");
    expect_joined(&group, stays, 2).await;
    assert!(autoscaler.may_choose(stays).await);
    assert_eq!(group.in_service(1).await, std::slice::from_ref(stays));
    group.delete().await;
}
