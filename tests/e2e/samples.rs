//! The clusters of `samples`, from the deployed stack to nothing: set up, masters included, used, scaled, checked and taken
//! away. Each has a world of its own.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::nothing_left::expect_nothing_left;
use crate::spark::{expect_a_warm_read, expect_no_task_failed, holder_of_readings, job_that_reads_on};
use crate::story::{drain, expect_gone, expect_joined, set_up_by_the_stack};
use crate::world::{Execution, Group, Machine, World, WriteType, aws, eventually, under_store_file};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn rows<'a>(output: &'a Value, listing: &str) -> &'a [Value] {
    output["overview"][listing]["rows"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// The address and the UID of a pod that is ready, and not about to go.
async fn ready_pod(world: &World, name: &str, before: &str) -> (String, String) {
    let pods: Api<Pod> = Api::namespaced(world.kube.clone(), "alluxio");
    eventually(120, &format!("{name} is ready"), async || {
        let pod = pods.get_opt(name).await.expect("GET pod").ok_or("no pod")?;
        let uid = pod.metadata.uid.unwrap_or_default();
        let status = pod.status.unwrap_or_default();
        let is_ready = status
            .conditions
            .unwrap_or_default()
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        if is_ready && uid != before && pod.metadata.deletion_timestamp.is_none() {
            Ok((status.pod_ip.unwrap_or_default(), uid))
        } else {
            Err("not ready")
        }
    })
    .await
}

/// The roles of the masters, sorted.
fn roles(bootstrap: &Execution) -> Vec<&str> {
    let masters = rows(&bootstrap.output, "masters").iter();
    let mut roles: Vec<_> = masters.filter_map(|row| row["role"].as_str()).collect();
    roles.sort_unstable();
    roles
}

/// State and capacity of each worker.
fn workers<'a>(bootstrap: &'a Execution) -> Vec<(&'a str, u64)> {
    let workers = rows(&bootstrap.output, "workers").iter();
    let told = |row: &'a Value| Some((row["state"].as_str()?, row["capacityBytes"].as_u64()?));
    workers.filter_map(told).collect()
}

fn expect_shown(bootstrap: &Execution, expected: &[&str]) {
    let tables = bootstrap.output["tables"].as_str().expect("tables");
    for shown in expected {
        assert!(tables.contains(shown), "{shown} is not in\n{tables}");
    }
}

async fn expect_consistent(world: &World) {
    let check = world.run(Machine::Check, &json!({}), 90).await;
    check.expect("consistent");
}

/// Destroys the cluster, in which a file is in the cache alone.
async fn destroy(group: &Group, stack: &str) {
    let world = &group.world;
    let instances = group
        .instances()
        .await
        .into_iter()
        .map(|(id, _)| id)
        .collect::<Vec<_>>();
    let hosts = world.worker_hosts("LIVE").await;
    let mut files = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        let path = format!("/last/part-{number}");
        files.push(world.write(&path, WriteType::MustCache, host).await);
    }
    let cluster = &world.endpoints.cluster_name;
    let confirmed = json!({"cluster": cluster, "confirm": cluster});
    let ended = world.run(Machine::Destroy, &confirmed, 420).await;
    ended.expect("destroyed");
    assert_eq!(ended.output["filesLost"], 0, "{ended:#?}");
    for file in &files {
        let saved = under_store_file(&file.path);
        assert_eq!(saved.as_deref(), Some(file.sha256.as_str()), "{}", file.path);
    }
    expect_nothing_left(group, stack, &instances).await;
}

#[tokio::test]
async fn prod_is_set_up_and_its_nodes_come_and_go_under_spark_and_nothing_is_left_in_the_end() {
    let group = Group::of_node_group("tidegate-prod-nodes").await;
    let world = &group.world;
    let first = set_up_by_the_stack(world).await;
    assert_eq!(first.output["diskLayouts"], json!(["2x300g"]));
    assert_eq!(roles(&first), ["PRIMARY", "STANDBY", "STANDBY"]);
    assert_eq!(workers(&first), [("LIVE", 2 * 246 * GIB); 3]);
    expect_shown(
        &first,
        &["alluxio-master-2", "alluxio-worker-2x300g", "fast-disks", "LIVE"],
    );
    for instance in group.in_service(3).await {
        expect_joined(&group, &instance, 2).await;
    }

    let mut job = job_that_reads_on().await;
    group.scale_to(4).await;
    let instances = group.in_service(4).await;
    for instance in &instances {
        expect_joined(&group, instance, 2).await;
    }
    let (leaving, host) = holder_of_readings(&mut job, &group, &instances).await;
    let kept = world.write("/kept", WriteType::MustCache, &host).await;
    drain(&group, &leaving).await.expect("drained");
    expect_gone(&group, &leaving, &host).await;
    expect_a_warm_read(&mut job, world).await;
    expect_no_task_failed(job, world).await;
    world.expect_read(&[kept]).await;

    expect_consistent(world).await;
    destroy(&group, "tidegate-prod-cluster").await;
}

#[tokio::test]
async fn dev_is_set_up_and_its_master_moves_and_its_nodes_go_under_spark_and_nothing_is_left_in_the_end() {
    let group = Group::of_node_group("tidegate-dev-nodes").await;
    let world = &group.world;
    let first = set_up_by_the_stack(world).await;
    assert_eq!(first.output["diskLayouts"], json!(["memory"]));

    assert_eq!(workers(&first), [("LIVE", 1024 * MIB / 100 * 95); 2]);
    expect_shown(
        &first,
        &[
            "alluxio-master-0",
            "PRIMARY",
            "alluxio-worker-memory",
            "standard",
            "LIVE",
        ],
    );
    let (address, uid) = ready_pod(world, "alluxio-master-0", "").await;
    let masters = rows(&first.output, "masters");
    assert_eq!(masters.len(), 1, "{first:#?}");
    assert_eq!(masters[0]["pod"], "alluxio-master-0");
    assert_eq!(masters[0]["role"], "PRIMARY");
    assert_eq!(masters[0]["address"], json!(format!("{address}:19998")));
    let host = world.worker_hosts("LIVE").await.remove(0);
    let kept = world.write("/kept", WriteType::CacheThrough, &host).await;
    let pods: Api<Pod> = Api::namespaced(world.kube.clone(), "alluxio");
    pods.delete("alluxio-master-0", &DeleteParams::default())
        .await
        .expect("DELETE pod");
    let (elsewhere, uid) = ready_pod(world, "alluxio-master-0", &uid).await;
    assert_ne!(elsewhere, address, "a new pod has a new address");
    eventually(120, "both workers have found it", async || {
        let hosts = world.live_workers().await?;
        if hosts.len() == 2 {
            Ok(())
        } else {
            Err(format!("{hosts:?}"))
        }
    })
    .await;
    world.expect_read(&[kept]).await;

    let again = world.run(Machine::Bootstrap, &json!({}), 300).await;
    again.expect("ready");
    assert_eq!(
        again.output["changed"],
        json!([]),
        "the second time there is nothing to do"
    );
    assert_eq!(
        rows(&again.output, "masters")[0]["address"],
        json!(format!("{elsewhere}:19998"))
    );
    expect_consistent(world).await;

    the_masters_node_leaves_under_spark(&group, &uid).await;
    expect_consistent(world).await;
    destroy(&group, "tidegate-dev-cluster").await;
}

/// The master has to find another node, while all that the node's cache holds must be saved.
async fn the_masters_node_leaves_under_spark(group: &Group, master: &str) {
    let world = &group.world;
    let mut job = job_that_reads_on().await;
    let of_group = ["--auto-scaling-group-name", group.name];
    aws(&[
        &["autoscaling", "update-auto-scaling-group", "--min-size", "1"][..],
        &of_group,
    ]
    .concat());
    let pods: Api<Pod> = Api::namespaced(world.kube.clone(), "alluxio");
    let pod = pods.get("alluxio-master-0").await.expect("the master's pod");
    let node = pod.spec.and_then(|spec| spec.node_name).expect("its node");
    let instance = world.instance(&node).await;
    let (_, host) = world.node_address(&instance).await;
    let kept = world
        .write("/of-the-masters-node", WriteType::MustCache, &host)
        .await;

    drain(group, &instance).await.expect("drained");
    expect_gone(group, &instance, &host).await;
    ready_pod(world, "alluxio-master-0", master).await;
    let saved = under_store_file(&kept.path);
    assert_eq!(saved.as_deref(), Some(kept.sha256.as_str()), "saved by the drain");
    expect_a_warm_read(&mut job, world).await;
    expect_no_task_failed(job, world).await;
    world.expect_read(&[kept]).await;
}
