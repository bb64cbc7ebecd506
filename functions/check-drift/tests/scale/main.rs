//! A check of 5,000 nodes and 10,000 volumes, against a real API server; what the other neighbours say is made up here.
//!
//! Not part of the tests: `python3 -m bench.drift` starts the API server, runs `fill` and then `check`, each a process
//! of its own, and reads the line that `check` prints.

#![allow(clippy::expect_used, clippy::panic, reason = "part of tests")]

mod account;
mod objects;

use std::fs;
use std::time::Instant;

use check_drift::CheckDrift;
use futures::StreamExt;
use http::Request;
use http::request::Builder;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use serde_json::{Value, json};
use tidegate_domain::drift::{Budget, Scope};
use tidegate_kubernetes::Cluster;
use tidegate_lambda::{Serve, SystemClock};

use account::Account;

/// Nodes.
const NODES: usize = 5_000;
/// Writes at the same time.
const AT_ONCE: usize = 24;

async fn client() -> Client {
    let mut config = Config::from_kubeconfig(&KubeConfigOptions::default())
        .await
        .expect("KUBECONFIG of a local control plane");
    config.default_retry = false;
    Client::try_from(config).expect("a client")
}

async fn create(client: &Client, path: &str, object: &Value) {
    let request = Request::post(path).header("content-type", "application/json");
    send(client, path, request, object).await;
}

/// Kubernetes takes a new volume up at twenty a second: this has seen it do so.
async fn create_volume(client: &Client, volume: &Value) {
    create(client, objects::VOLUMES, volume).await;
    let name = volume["metadata"]["name"].as_str().expect("a name");
    let path = format!("{}/{name}/status", objects::VOLUMES);
    let request = Request::patch(&path).header("content-type", "application/merge-patch+json");
    send(client, &path, request, &json!({"status": {"phase": "Available"}})).await;
}

async fn send(client: &Client, path: &str, request: Builder, body: &Value) {
    let request = request.body(body.to_string().into_bytes()).expect("a request");
    match client.request::<Value>(request).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => panic!("{path}: {error}"),
    }
}

#[tokio::test]
#[ignore = "writes 30,000 objects, and the status of 10,000; python3 -m bench.drift runs it"]
async fn fill() {
    let client = client().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "alluxio"}});
    create(&client, "/api/v1/namespaces", &namespace).await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    create(&client, "/api/v1/namespaces/alluxio/serviceaccounts", &account).await;
    let client = &client;
    let volumes = (0..NODES).flat_map(objects::volumes_of_node);
    let written = futures::stream::iter(volumes).map(|(volume, claim)| async move {
        create_volume(client, &volume).await;
        create(client, objects::CLAIMS, &claim).await;
    });
    written.buffer_unordered(AT_ONCE).collect::<()>().await;
    // Last, as Kubernetes doubts a node that nobody has heard of for 50 s, and deletes the pods of one that is not there.
    let nodes = futures::stream::iter(0..NODES).map(|number| async move {
        create(client, objects::NODES, &objects::node(number)).await;
        create(client, objects::PODS, &objects::pod(number)).await;
    });
    nodes.buffer_unordered(AT_ONCE).collect::<()>().await;
}

#[tokio::test]
#[ignore = "needs what fill wrote; python3 -m bench.drift runs it"]
async fn check() {
    let function = CheckDrift {
        groups: Account,
        instances: Account,
        machines: Account,
        cluster: Cluster::with_client("check-drift", client().await),
        master: Account,
        clock: SystemClock,
        scope: Scope {
            join_hook: "tidegate-node-join".into(),
            drain_hook: "tidegate-node-drain".into(),
            namespace: "alluxio".into(),
        },
        budget: Budget {
            percent: 10,
            settle_seconds: 0,
        },
        group_names: vec!["nvme-nodes".into()],
        rule_names: Vec::new(),
        cluster_name: "bench".into(),
    };
    let (began, cpu) = (Instant::now(), cpu_millis());
    let call = json!({"input": {"plan": true}, "rules": []});
    let reply = function.serve(call).await.expect("an answer");
    let elapsed = began.elapsed();
    let answer = &reply.answer;
    println!(
        "{}",
        json!({
            "nodes": NODES,
            "volumes": 2 * NODES,
            "elapsedMillis": u64::try_from(elapsed.as_millis()).expect("small"),
            "cpuMillis": cpu_millis() - cpu,
            "peakKiB": peak_kib(),
            "answerBytes": answer.to_string().len(),
            "counts": answer["counts"],
            "unseen": answer["unseen"],
        })
    );
    // One node in a hundred was written without its labels, and every volume of its was left without an instance.
    assert_eq!(
        answer["counts"]["node-incomplete"],
        NODES / objects::ONE_IN,
        "{}",
        answer["reason"]
    );
    assert_eq!(answer["unseen"], json!([]), "{}", answer["unseen"]);
}

/// User and system time of this process.
fn cpu_millis() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .expect("fields")
        .split_whitespace()
        .collect();
    // utime and stime, in hundredths of a second.
    let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
    (ticks(11) + ticks(12)) * 10
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .expect("VmHWM");
    line.split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number")
}
