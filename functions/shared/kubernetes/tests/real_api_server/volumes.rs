#![allow(clippy::expect_used, reason = "part of tests")]

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::Api;
use serde_json::{Value, json};
use tidegate_domain::names;
use tidegate_domain::node::{ClaimRef, Volume, VolumePhase};
use tidegate_domain::ports::{Changed, Claims, Volumes};
use tidegate_domain::subject::InstanceId;

use crate::objects::{client, cluster, create, eventually, namespace, remove, remove_namespace, subject};

const WATCH: Duration = Duration::from_secs(20);

fn volume_of(instance: &InstanceId, name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {names::INSTANCE_ID_LABEL: instance}},
        "spec": {
            "capacity": {"storage": "273Gi"}, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "none-of-the-clusters",
            "local": {"path": "/mnt/fast-disks/none"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [format!("node-of-{instance}")]}]}]}},
        },
    })
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn the_volumes_of_an_instance_are_watched_until_there_are_enough() {
    let client = client().await;
    let (cluster, instance) = (cluster(&client), subject().instance_id);
    let api = Api::<PersistentVolume>::all(client);
    let names = [0, 1].map(|disk| format!("pv-{instance}-{disk}"));
    create(&api, volume_of(&instance, &names[0])).await;
    let began = Instant::now();
    let published = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        create(&api, volume_of(&instance, &names[1])).await
    };
    let two_available = |volumes: &[Volume]| {
        volumes
            .iter()
            .filter(|volume| volume.phase == VolumePhase::Available)
            .count()
            == 2
    };
    let (volumes, _) = tokio::join!(cluster.of_instance(&instance, WATCH, &two_available), published);
    let volumes = volumes.expect("an answer");
    assert!(two_available(&volumes), "{volumes:?}");
    assert!(began.elapsed() < WATCH / 2, "{:?}", began.elapsed());
    for volume in volumes {
        assert_eq!(volume.capacity_bytes, 273 << 30);
        assert_eq!(volume.hostname, Some(format!("node-of-{instance}")));
        remove(&api, &volume.name).await;
    }
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_volume_is_deleted_only_under_its_own_uid() {
    let client = client().await;
    let (cluster, instance) = (cluster(&client), subject().instance_id);
    let api = Api::<PersistentVolume>::all(client);
    create(&api, volume_of(&instance, &format!("pv-{instance}"))).await;
    let volumes = cluster
        .of_instance(&instance, Duration::ZERO, &|_| true)
        .await
        .expect("an answer");
    let [volume] = volumes.as_slice() else {
        unreachable!("{volumes:?}")
    };
    let earlier = Volume {
        uid: "00000000-0000-0000-0000-000000000000".into(),
        ..volume.clone()
    };
    assert_eq!(cluster.delete(&earlier).await, Ok(Changed::Conflict));
    let untouched = api.get(&volume.name).await.expect("it is still there");
    assert_eq!(untouched.metadata.deletion_timestamp, None);
    assert_eq!(cluster.delete(volume).await, Ok(Changed::Done));
    eventually("the volume is gone", async || {
        let left = cluster.of_instance(&instance, Duration::ZERO, &|_| true).await;
        left.expect("an answer").is_empty().then_some(())
    })
    .await;
    assert_eq!(cluster.delete(volume).await, Ok(Changed::Gone));
}

#[tokio::test]
#[ignore = "needs the local world"]
async fn a_claim_is_deleted_only_under_its_own_uid() {
    let client = client().await;
    let cluster = cluster(&client);
    let namespace = namespace(&client).await;
    let api = Api::<PersistentVolumeClaim>::namespaced(client.clone(), &namespace);
    let created = create(
        &api,
        json!({
            "metadata": {"name": "tier-0"},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "none-of-the-clusters",
                "resources": {"requests": {"storage": "1Gi"}}},
        }),
    )
    .await;
    let claim = |uid: &str| ClaimRef {
        namespace: namespace.clone(),
        name: "tier-0".into(),
        uid: uid.into(),
    };
    // A volume that is reserved for a claim, but not bound to it, knows no UID.
    for other in ["", "00000000-0000-0000-0000-000000000000"] {
        assert_eq!(
            cluster.delete_claim(&claim(other)).await,
            Ok(Changed::Conflict),
            "{other:?}"
        );
    }
    assert_eq!(
        api.get("tier-0")
            .await
            .expect("still there")
            .metadata
            .deletion_timestamp,
        None
    );
    let ours = claim(&created.metadata.uid.expect("a UID"));
    assert_eq!(cluster.delete_claim(&ours).await, Ok(Changed::Done));
    eventually("the claim is gone", async || {
        (cluster.delete_claim(&ours).await == Ok(Changed::Gone)).then_some(())
    })
    .await;
    remove_namespace(&client, &namespace).await;
}
