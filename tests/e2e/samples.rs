//! Clusters of `samples`, set up from nothing by the stack alone, masters included. Each has a world of its own.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::world::{Machine, World, WriteType, eventually};

const MIB: u64 = 1 << 20;

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

#[tokio::test]
async fn dev_gets_its_master_and_its_caches_in_memory_and_the_master_comes_back_with_what_it_knew() {
    let world = World::connect().await;
    let started = eventually(60, "the stack has started it", async || {
        let begun = world.all(Machine::Bootstrap).await;
        begun.first().cloned().ok_or(())
    })
    .await;
    let first = world.ended(&started, 420).await;
    first.expect("ready");
    assert!(first.input.contains("CREATE_COMPLETE"), "{}", first.input);
    assert_eq!(first.output["diskLayouts"], json!(["memory"]));

    let (address, uid) = ready_pod(&world, "alluxio-master-0", "").await;
    let masters = rows(&first.output, "masters");
    assert_eq!(masters.len(), 1, "{first:#?}");
    assert_eq!(masters[0]["pod"], "alluxio-master-0");
    assert_eq!(masters[0]["role"], "PRIMARY");
    assert_eq!(masters[0]["address"], json!(format!("{address}:19998")));
    let workers = rows(&first.output, "workers");
    let told: Vec<_> = workers
        .iter()
        .map(|row| (row["state"].as_str(), row["capacityBytes"].as_u64()))
        .collect();
    let cache = Some(1024 * MIB / 100 * 95);
    assert_eq!(told, [(Some("LIVE"), cache), (Some("LIVE"), cache)]);
    let tables = first.output["tables"].as_str().expect("tables");
    for shown in [
        "alluxio-master-0",
        "PRIMARY",
        "alluxio-worker-memory",
        "standard",
        "LIVE",
    ] {
        assert!(tables.contains(shown), "{shown} is not in\n{tables}");
    }

    let host = world.worker_hosts("LIVE").await.remove(0);
    let kept = world.write("/kept", WriteType::CacheThrough, &host).await;
    let pods: Api<Pod> = Api::namespaced(world.kube.clone(), "alluxio");
    pods.delete("alluxio-master-0", &DeleteParams::default())
        .await
        .expect("DELETE pod");
    let (elsewhere, _) = ready_pod(&world, "alluxio-master-0", &uid).await;
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
    let check = world.run(Machine::Check, &json!({"plan": true}), 90).await;
    check.expect("consistent");
}
