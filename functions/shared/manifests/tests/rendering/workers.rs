//! What the workers get, and where they run.

use serde_json::{Value, json};
use tidegate_domain::disks::{Disk, expected_cache_bytes};
use tidegate_domain::names;
use tidegate_manifests::Settings;

use crate::rendered::{
    dev, flag, list, named, objects, of_kind, pods, prod, provisioner_pod, settings, variable, worker_pods,
};

#[test]
fn quotas_add_up_to_what_schedule_worker_expects_of_the_disks() {
    let objects = objects(&settings());
    let disks = [vec![300, 300], vec![300, 900, 900]].map(|sizes| {
        sizes
            .into_iter()
            .map(|size_gb| Disk { size_gb })
            .collect::<Vec<_>>()
    });
    for (pod, disks) in worker_pods(&objects).into_iter().zip(disks) {
        let options = variable(&pod["containers"][0], "ALLUXIO_WORKER_JAVA_OPTS");
        let quotas = flag(options, "-Dalluxio.worker.tieredstore.level0.dirs.quota=");
        let sum: u64 = quotas
            .split(',')
            .map(|quota| quota.parse::<u64>().expect("bytes"))
            .sum();
        assert_eq!(sum, expected_cache_bytes(&disks));
    }
}

#[test]
fn labels_taints_and_classes_are_those_that_the_functions_set_and_look_for() {
    let objects = objects(&settings());
    let workers = of_kind(&objects, "DaemonSet")
        .into_iter()
        .filter(|set| set["metadata"]["namespace"] == "alluxio")
        .collect::<Vec<_>>();
    assert_eq!(workers.len(), 2);
    let (key, value) = names::WORKER_POD_SELECTOR.split_once('=').expect("a selector");
    for (set, layout) in workers.into_iter().zip(["2x300g", "1x300g-2x900g"]) {
        assert_eq!(set["metadata"]["name"], format!("alluxio-worker-{layout}"));
        let template = &set["spec"]["template"];
        assert_eq!(
            template["spec"]["nodeSelector"],
            json!({ names::WORKER_LABEL: layout })
        );
        assert_eq!(template["metadata"]["labels"][names::DISK_LAYOUT_LABEL], layout);
        assert_eq!(template["metadata"]["labels"][key], value);
        assert_eq!(
            set["spec"]["selector"]["matchLabels"],
            template["metadata"]["labels"]
        );
    }
    named(&objects, "StorageClass", names::FAST_DISKS_CLASS);
    let provisioner = named(&objects, "DaemonSet", "local-volume-provisioner");
    assert_eq!(provisioner["metadata"]["namespace"], names::PROVISIONER_NAMESPACE);
    let (key, value) = names::PROVISIONER_SELECTOR.split_once('=').expect("a selector");
    assert_eq!(provisioner["spec"]["template"]["metadata"]["labels"][key], value);
    let term = &provisioner_pod(&objects)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        ["nodeSelectorTerms"][0];
    let expression = json!({ "key": names::FAST_DISK_LABEL, "operator": "In", "values": [names::FAST_DISK_NVME, names::FAST_DISK_RAID] });
    assert_eq!(*term, json!({ "matchExpressions": [expression] }));
    let config = &named(&objects, "ConfigMap", "local-volume-provisioner-config")["data"];
    let labels: Vec<String> =
        serde_yaml_ng::from_str(config["nodeLabelsForPV"].as_str().expect("text")).expect("YAML");
    for label in [
        "kubernetes.io/hostname",
        names::INSTANCE_ID_LABEL,
        names::ZONE_LABEL,
    ] {
        assert!(labels.iter().any(|copied| copied == label), "{label}");
    }
    let classes: Value =
        serde_yaml_ng::from_str(config["storageClassMap"].as_str().expect("text")).expect("YAML");
    assert!(classes[names::FAST_DISKS_CLASS].is_object());
}

#[test]
fn no_taint_ends_a_worker_or_keeps_it_off() {
    let objects = [objects(&settings()), objects(&dev())].concat();
    let mut pods = worker_pods(&objects);
    assert!(
        pods.iter()
            .any(|pod| !pod["nodeSelector"][names::MEMORY_WORKER_LABEL].is_null()),
        "a worker whose cache is in memory is among them"
    );
    pods.push(provisioner_pod(&objects));
    for pod in pods {
        // Without key and effect: NoSchedule and NoExecute of every key.
        assert_eq!(pod["tolerations"], json!([{ "operator": "Exists" }]), "{pod}");
    }
}

#[test]
fn options_are_single_lines_as_the_entry_point_takes_only_the_first() {
    let objects = [objects(&dev()), objects(&prod())].concat();
    let config = &named(&objects, "ConfigMap", "alluxio-config")["data"];
    let containers = pods(&objects).into_iter().flat_map(|pod| {
        list(&pod["initContainers"])
            .iter()
            .chain(list(&pod["containers"]))
    });
    let mut values: Vec<_> = containers
        .flat_map(|container| list(&container["env"]))
        .map(|v| &v["value"])
        .collect();
    values.extend(config.as_object().expect("data").values());
    for value in values.into_iter().filter_map(Value::as_str) {
        assert!(
            !value.contains('\n') && !value.contains('"') && !value.contains("  "),
            "{value:?}"
        );
    }
}

#[test]
fn a_worker_stays_out_of_service_until_its_clients_have_a_new_list_and_are_done() {
    for refresh_seconds in [0, 120, 3_600] {
        let settings = Settings {
            worker_list_refresh_seconds: refresh_seconds,
            ..prod()
        };
        let objects = objects(&settings);
        let config = named(&objects, "ConfigMap", "alluxio-config");
        let options = config["data"]["ALLUXIO_MASTER_JAVA_OPTS"]
            .as_str()
            .expect("options");
        let (_, rest) = options.split_once("deletion.timeout=").expect("the timeout");
        let seconds = rest.split('s').next().and_then(|text| text.parse::<u32>().ok());
        // The default of IdleLimitSeconds, and as long again for the last look through its files.
        assert!(
            seconds.is_some_and(|seconds| seconds >= refresh_seconds + 2 * 180),
            "{options}"
        );
    }
}

#[test]
fn a_worker_in_memory_runs_where_the_group_says_so_and_has_no_claim() {
    let objects = objects(&dev());
    let set = named(&objects, "DaemonSet", "alluxio-worker-memory");
    let pod = &set["spec"]["template"]["spec"];
    // Not the lever: the drift check takes that off nodes without disks.
    assert_eq!(pod["nodeSelector"], json!({ "alluxio-memory-worker": "true" }));
    let tier = list(&pod["volumes"])
        .iter()
        .find(|volume| volume["name"] == "tier-0")
        .expect("a tier");
    assert_eq!(
        tier["emptyDir"],
        json!({ "medium": "Memory", "sizeLimit": "1024Mi" })
    );
    let options = variable(&pod["containers"][0], "ALLUXIO_WORKER_JAVA_OPTS");
    assert_eq!(flag(options, "-Dalluxio.worker.tieredstore.level0.alias="), "MEM");
    let quota: u64 = flag(options, "-Dalluxio.worker.tieredstore.level0.dirs.quota=")
        .parse()
        .expect("bytes");
    assert!(quota < 1024 << 20, "{quota}");
}
