//! The Spark job of `samples/spark` fits the cluster that it is to survive in.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_domain::names;

use crate::repository::{read, yaml};
use crate::template::template;

const SETTINGS: &str = "samples/spark/survive-a-drain.conf";
const APPLICATION: &str = "samples/spark/spark-application.yaml";

/// The settings of `spark-submit`.
fn settings() -> BTreeMap<String, String> {
    let text = read(SETTINGS);
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line
                .split_once(char::is_whitespace)
                .unwrap_or_else(|| panic!("{SETTINGS}: {line:?} has no value"));
            (name.to_owned(), value.trim().to_owned())
        })
        .collect()
}

fn document(path: &str) -> Value {
    yaml(path).pop().unwrap_or_else(|| panic!("{path} is empty"))
}

/// Seconds of a length of time as Alluxio and Spark write it.
fn seconds(text: &str) -> u32 {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let count: u32 = digits
        .parse()
        .unwrap_or_else(|_| panic!("{text:?} is no length of time"));
    match &text[digits.len()..] {
        "s" => count,
        "min" => count * 60,
        unit => panic!("{text:?}: unit {unit:?}"),
    }
}

/// What follows a text, up to the next white space.
fn after(text: &str, before: &str) -> String {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("nowhere: {before}"));
    rest.split_whitespace().next().unwrap_or_default().to_owned()
}

#[test]
fn the_application_of_the_operator_has_the_settings_of_spark_submit() {
    let spec = &document(APPLICATION)["spec"];
    let mut of_operator = BTreeMap::new();
    for (field, prefix) in [("sparkConf", ""), ("hadoopConf", "spark.hadoop.")] {
        for (name, value) in spec[field].as_object().expect(field) {
            let value = value
                .as_str()
                .unwrap_or_else(|| panic!("{name} is no text: {value}"));
            of_operator.insert(format!("{prefix}{name}"), value.to_owned());
        }
    }
    let (of_kubernetes, others): (BTreeMap<_, _>, BTreeMap<_, _>) = settings()
        .into_iter()
        .partition(|(name, _)| name.starts_with("spark.kubernetes."));
    assert_eq!(of_operator, others);
    let image = "spark.kubernetes.container.image";
    let account = "spark.kubernetes.authenticate.driver.serviceAccountName";
    assert_eq!(spec["image"], *of_kubernetes[image]);
    assert_eq!(spec["driver"]["serviceAccount"], *of_kubernetes[account]);
    for role in ["driver", "executor"] {
        let setting = format!("spark.kubernetes.{role}.podTemplateFile");
        let mut pod = document(&format!("samples/spark/{}", of_kubernetes[&setting]));
        let metadata = pod["metadata"].as_object_mut().expect("metadata");
        metadata.remove("name");
        let template = json!({"metadata": pod["metadata"], "spec": pod["spec"]});
        assert_eq!(spec[role]["template"], template, "{role}");
    }
}

#[test]
fn executors_land_only_where_a_cache_is_in_service() {
    let pod = document("samples/spark/executor-pod.yaml");
    assert!(
        pod["spec"]["tolerations"].is_null(),
        "{} keeps executors off, unless they tolerate it",
        names::STARTUP_TAINT
    );
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"];
    let terms = &affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    let keys: Vec<_> = terms
        .as_array()
        .expect("terms")
        .iter()
        .map(|term| term["matchExpressions"][0]["key"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(keys, [names::WORKER_LABEL, names::MEMORY_WORKER_LABEL]);
    let workers = read("infra/kubernetes/alluxio-worker.yaml.j2");
    assert!(workers.contains(&format!("{}: \"true\"", names::MEMORY_WORKER_LABEL)));
}

#[test]
fn executors_see_the_sockets_of_the_workers() {
    let pod = document("samples/spark/executor-pod.yaml");
    let path = pod["spec"]["volumes"][0]["hostPath"]["path"]
        .as_str()
        .expect("a path");
    let mount = pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"]
        .as_str()
        .expect("a mount");
    let workers = read("infra/kubernetes/alluxio-worker.yaml.j2");
    assert!(
        workers.contains(&format!("hostPath: {{ path: {path}, type: DirectoryOrCreate }}")),
        "{path}"
    );
    assert!(
        workers.contains(&format!("domain.socket.address={mount}\n")),
        "{mount}"
    );
}

#[test]
fn clients_turn_to_other_workers_in_the_time_that_a_drain_gives_them() {
    let interval = seconds(&settings()["spark.hadoop.alluxio.user.worker.list.refresh.interval"]);
    let given = &template()["Parameters"]["WorkerListRefreshSeconds"]["Default"];
    assert!(
        u64::from(interval) <= given.as_u64().expect("WorkerListRefreshSeconds"),
        "{interval} s, {given} s"
    );
}

#[test]
fn a_read_outlasts_the_time_until_a_worker_that_was_taken_out_of_service_is_back() {
    let patience = seconds(&settings()["spark.hadoop.alluxio.user.block.read.retry.max.duration"]);
    let masters = read("infra/kubernetes/alluxio-config.yaml.j2");
    let lost = seconds(&after(&masters, "alluxio.master.worker.timeout="));
    let refresh = &template()["Parameters"]["WorkerListRefreshSeconds"]["Default"];
    let refresh = refresh.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
    // The deletion timeout is rendered as the sum of these two.
    let done = after(
        &read("functions/shared/manifests/src/lib.rs"),
        "UNTIL_CLIENTS_ARE_DONE_SECONDS: u32 = ",
    );
    let done: u32 = done.trim_end_matches(';').parse().expect("seconds");
    let back = lost + refresh.expect("WorkerListRefreshSeconds") + done;
    assert!(patience > back, "{patience} s, {back} s");
}

#[test]
fn the_image_has_the_spark_that_is_tested_and_the_alluxio_that_is_deployed() {
    let recipe = read("samples/spark/Dockerfile");
    let spark = after(
        &read("infra/local/setup/python/requirements-spark.txt"),
        "pyspark==",
    );
    let alluxio = after(
        &read("functions/shared/manifests/src/settings.rs"),
        "alluxio_image: \"alluxio/alluxio:",
    );
    let alluxio = alluxio.split('"').next().unwrap_or_default();
    assert!(
        after(&recipe, "ARG SPARK=").starts_with(&format!("{spark}-")),
        "{spark}"
    );
    assert_eq!(after(&recipe, "ARG ALLUXIO="), alluxio);
    let image = &settings()["spark.kubernetes.container.image"];
    assert_eq!(*image, format!("REGISTRY/spark-alluxio:{spark}-{alluxio}"));
    assert_eq!(document(APPLICATION)["spec"]["sparkVersion"], *spark);
    let version = |pom: &str| after(&read(pom).replace('<', " "), "alluxio.version>");
    assert_eq!(
        version("infra/local/setup/alluxio-client/pom.xml"),
        version("infra/local/setup/alluxio/pom.xml"),
        "client and servers of the local world"
    );
}
