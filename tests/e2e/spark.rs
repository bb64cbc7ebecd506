//! Spark reads and writes through Alluxio while nodes come and go. It looks at what all workers do together, and writes to
//! any of them, so it runs alone.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition,
};
use kube::Api;

use crate::story::{STARTUP_TAINT, drain, expect_gone, expect_joined};
use crate::world::{Group, Job, Placed, TWO_DISKS, World, WriteType, eventually, kubectl, sample};

const READINGS: &str = "/case-spark/readings";
/// How often a read is looked at until all of it comes from the cache: workers cache in the background.
const LOOKS: usize = 6;

#[tokio::test]
async fn a_spark_job_runs_through_a_scale_out_and_a_scale_in_and_no_task_of_it_fails() {
    let group = Group::with_nodes("case-spark", TWO_DISKS, 1).await;
    let world = &group.world;
    let mut job = job_that_reads_on().await;

    group.scale_to(2).await;
    expect_a_cold_and_then_a_warm_read(&mut job, world).await;
    let instances = group.in_service(2).await;
    for instance in &instances {
        expect_joined(&group, instance, 2).await;
    }

    let (leaving, host) = holder_of_readings(&mut job, &group, &instances).await;
    drain(&group, &leaving).await.expect("drained");
    expect_gone(&group, &leaving, &host).await;
    expect_a_warm_read(&mut job, world).await;

    expect_no_task_failed(job, world).await;
    group.delete().await;
}

/// A job that has written, and reads what it wrote round after round.
pub(crate) async fn job_that_reads_on() -> Job {
    let mut job = Job::submit(&[
        "--at=alluxio:///case-spark",
        "--rows=1000000",
        "--partitions=16",
        "--until=alluxio:///case-spark-may-end",
    ]);
    job.has_written().await;
    job
}

/// Lets the job end; fails where a total was wrong, or an attempt at a task did not succeed.
pub(crate) async fn expect_no_task_failed(mut job: Job, world: &World) {
    let hosts = world.worker_hosts("LIVE").await;
    world
        .write("/case-spark-may-end", WriteType::CacheThrough, &hosts[0])
        .await;
    let done = job.ends_well().await;
    assert_eq!(
        (&done["wrong"], &done["failedTasks"]),
        (&0.into(), &0.into()),
        "{done}"
    );
    let ways: Vec<_> = Job::attempts().into_keys().collect();
    assert_eq!(ways, ["Success"], "{:?}", Job::attempts());
}

/// Drops what is cached of the readings: as with data that others have put into the under store, the next read is the first.
async fn expect_a_cold_and_then_a_warm_read(job: &mut Job, world: &World) {
    let hosts = world.worker_hosts("LIVE").await;
    let size = World::bytes_in_under_store(READINGS);
    let before = world.reads(&hosts).await;
    world.free(READINGS).await;
    job.begins_and_ends_a_round().await;
    let cold = world.reads(&hosts).await.since(before);
    assert!(cold.under_store >= size / 10 * 9, "{cold:?} of {size} bytes");
    expect_a_warm_read(job, world).await;
}

/// Fails unless the job comes to read all from the cache, and nothing from the under store.
pub(crate) async fn expect_a_warm_read(job: &mut Job, world: &World) {
    let hosts = world.worker_hosts("LIVE").await;
    let size = World::bytes_in_under_store(READINGS);
    let mut seen = Vec::new();
    for _ in 0..LOOKS {
        let before = world.reads(&hosts).await;
        job.begins_and_ends_a_round().await;
        let warm = world.reads(&hosts).await.since(before);
        if warm.under_store == 0 && warm.cache >= size / 10 * 9 {
            return;
        }
        seen.push(warm);
    }
    panic!("the under store is read again and again: {seen:?} of {size} bytes");
}

/// One of the instances whose worker holds some of what the job reads, with its host; which worker caches a block is
/// chance, so all of them may have to be dealt anew.
pub(crate) async fn holder_of_readings(
    job: &mut Job,
    group: &Group,
    instances: &[String],
) -> (String, String) {
    for _ in 0..LOOKS {
        let mut held = BTreeMap::new();
        for instance in instances {
            let (_, host) = group.world.node_address(instance).await;
            let files = group.world.files_below(READINGS, &host).await;
            held.insert(files, (instance.clone(), host));
        }
        match held.pop_last() {
            Some((files, holder)) if files > 0 => return holder,
            _ => {
                group.world.free(READINGS).await;
                job.begins_and_ends_a_round().await;
            }
        }
    }
    panic!("none of {instances:?} holds any of {READINGS}");
}

#[tokio::test]
async fn an_executor_is_scheduled_only_where_a_cache_is_in_service() {
    let world = World::connect().await;
    // A layout that no DaemonSet is for.
    let label = ("tidegate.dev/alluxio-worker", "case-spark");
    for (node, labels, taints, placed) in [
        ("case-spark-serves", &[label][..], &[][..], Placed::There),
        ("case-spark-joins", &[label], &[STARTUP_TAINT], Placed::Nowhere),
        ("case-spark-has-left", &[], &[], Placed::Nowhere),
    ] {
        world.make_fake_node(node, labels, taints).await;
        assert_eq!(world.place_executor(node).await, placed, "{node}");
        world.delete_node(node).await;
    }
}

#[tokio::test]
async fn the_api_server_takes_every_manifest_of_the_sample() {
    let tools = PathBuf::from(env::var("TIDEGATE_TOOLS").expect("TIDEGATE_TOOLS"));
    let schema = tools.join("spark/crds/sparkoperator.k8s.io_sparkapplications.yaml");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    // Too large for what a client would note down of it.
    kubectl(&["apply", "--server-side", "-f", &text(&schema)]);
    let kind = "customresourcedefinition/sparkapplications.sparkoperator.k8s.io";
    let schemas: Api<CustomResourceDefinition> = Api::all(World::connect().await.kube);
    eventually(30, "the schema is in force", async || {
        let schema = schemas.get("sparkapplications.sparkoperator.k8s.io").await;
        let status = schema.expect("the schema").status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let established = |condition: &&CustomResourceDefinitionCondition| {
            condition.type_ == "Established" && condition.status == "True"
        };
        match conditions.iter().find(established) {
            Some(_) => Ok(()),
            None => Err(conditions),
        }
    })
    .await;
    // A dry run makes no namespace for what comes after it.
    kubectl(&["create", "namespace", "spark"]);
    for name in [
        "cluster.yaml",
        "driver-pod.yaml",
        "executor-pod.yaml",
        "spark-application.yaml",
    ] {
        let path = text(&sample(name));
        kubectl(&["apply", "--server-side", "--dry-run=server", "-f", &path]);
    }
    kubectl(&["delete", "namespace", "spark", "--wait=false"]);
    kubectl(&["delete", kind]);
}
