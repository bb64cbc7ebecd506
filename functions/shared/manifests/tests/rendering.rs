//! What is rendered is what the functions expect to find.

// Helpers of tests may panic too; clippy only knows the tests themselves.
#![allow(clippy::expect_used, clippy::panic)]

mod rendered;

use rendered::{flag, list, named, objects, of_kind, provisioner_pod, settings, variable, worker_pods};
use serde_json::{Value, json};
use tidegate_domain::disks::{Disk, expected_cache_bytes};
use tidegate_domain::names;
use tidegate_manifests::{Error, JavaMemory, Settings, render};

fn refused(settings: &Settings) -> String {
    render(settings)
        .map_err(|error: Error| error.to_string())
        .expect_err("refused")
}

#[test]
fn every_document_is_a_kubernetes_object_with_a_name() {
    let objects = objects(&settings());
    for object in &objects {
        for field in [
            &object["apiVersion"],
            &object["kind"],
            &object["metadata"]["name"],
        ] {
            assert!(field.as_str().is_some_and(|text| !text.is_empty()), "{object}");
        }
    }
    let identities: Vec<_> = objects
        .iter()
        .map(|object| {
            format!(
                "{} {} {}",
                object["kind"], object["metadata"]["namespace"], object["metadata"]["name"]
            )
        })
        .collect();
    let mut unique = identities.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), identities.len(), "{identities:#?}");
}

#[test]
fn nothing_of_a_template_is_left_in_the_text() {
    let text = render(&settings()).expect("rendered");
    assert!(!text.contains("{{") && !text.contains("{%") && !text.contains("{#"));
}

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
    let expression =
        json!({ "key": names::FAST_DISK_LABEL, "operator": "In", "values": [names::FAST_DISK_NVME] });
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
fn both_daemon_sets_run_under_the_startup_taint() {
    let objects = objects(&settings());
    let mut pods = worker_pods(&objects);
    pods.push(provisioner_pod(&objects));
    for pod in pods {
        let tolerated = list(&pod["tolerations"]).iter().any(|toleration| {
            let key = &toleration["key"];
            (key.is_null() || *key == names::STARTUP_TAINT)
                && toleration["operator"] == "Exists"
                && toleration["effect"] == "NoSchedule"
        });
        assert!(tolerated, "{pod}");
    }
}

#[test]
fn options_are_single_lines_as_the_entry_point_takes_only_the_first() {
    let objects = objects(&settings());
    let config = &named(&objects, "ConfigMap", "alluxio-config")["data"];
    let containers = worker_pods(&objects)
        .into_iter()
        .flat_map(|pod| list(&pod["containers"]));
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
fn one_master_is_named_and_several_are_listed() {
    let options = |masters: &[&str]| {
        let masters = masters.iter().map(|&master| master.to_owned()).collect();
        let settings = Settings {
            masters,
            ..settings()
        };
        let objects = objects(&settings);
        named(&objects, "ConfigMap", "alluxio-config")["data"]["ALLUXIO_JAVA_OPTS"]
            .as_str()
            .expect("text")
            .to_owned()
    };
    let one = options(&["127.0.0.2:19998"]);
    assert_eq!(flag(&one, "-Dalluxio.master.hostname="), "127.0.0.2");
    assert_eq!(flag(&one, "-Dalluxio.master.rpc.port="), "19998");
    assert_eq!(flag(&one, "-Dalluxio.job.master.hostname="), "127.0.0.2");
    let several = options(&["a:19998", "b:19998"]);
    assert_eq!(
        flag(&several, "-Dalluxio.master.rpc.addresses="),
        "a:19998,b:19998"
    );
    assert!(!several.contains("hostname"));
}

#[test]
fn further_properties_come_last_so_that_they_win() {
    let property = (
        "alluxio.user.worker.list.refresh.interval".to_owned(),
        "1s".to_owned(),
    );
    let objects = objects(&Settings {
        properties: vec![property],
        ..settings()
    });
    let options = &named(&objects, "ConfigMap", "alluxio-config")["data"]["ALLUXIO_JAVA_OPTS"];
    assert!(
        options
            .as_str()
            .expect("text")
            .ends_with("-Dalluxio.user.worker.list.refresh.interval=1s")
    );
}

#[test]
fn a_container_may_use_more_memory_than_heap_and_direct_memory_whatever_they_are() {
    for (heap_mib, direct_mib) in [(1, 1), (4096, 4096), (1_000_000, 0)] {
        let memory = JavaMemory { heap_mib, direct_mib };
        assert!(memory.limit_mib() >= u64::from(heap_mib) + u64::from(direct_mib) + 1024);
    }
}

#[test]
fn another_namespace_is_the_workers_and_that_of_the_rights_on_them() {
    let objects = objects(&Settings {
        namespace: "cache".into(),
        ..settings()
    });
    assert!(
        objects
            .iter()
            .all(|object| object["metadata"]["namespace"] != "alluxio")
    );
    named(&objects, "Namespace", "cache");
    assert_eq!(
        named(&objects, "Role", "tidegate-retire-worker")["metadata"]["namespace"],
        "cache"
    );
    assert_eq!(
        named(&objects, "Role", "tidegate-provision-volumes")["metadata"]["namespace"],
        "kube-system"
    );
}

#[test]
fn settings_that_cannot_work_are_refused_in_one_sentence() {
    let base = settings();
    for (settings, sentence) in [
        (
            Settings {
                layouts: vec![],
                ..base.clone()
            },
            "no disk layout is named: no worker would ever run",
        ),
        (
            Settings {
                layouts: vec![base.layouts[0].clone(), base.layouts[0].clone()],
                ..base.clone()
            },
            "disk layout 2x300g is named twice",
        ),
        (
            Settings {
                masters: vec![],
                ..base.clone()
            },
            "no Alluxio master is named",
        ),
        (
            Settings {
                masters: vec!["master".into()],
                ..base.clone()
            },
            "Alluxio master \"master\" is not a host and a port such as alluxio-master-0:19998",
        ),
        (
            Settings {
                namespace: "Cache".into(),
                ..base.clone()
            },
            "namespace \"Cache\" is not a Kubernetes name",
        ),
        (
            Settings {
                alluxio_image: "a b".into(),
                ..base.clone()
            },
            "image \"a b\" is not the name of an image",
        ),
        (
            Settings {
                properties: vec![("x".into(), "$(rm)".into())],
                ..base
            },
            "Alluxio property \"x=$(rm)\" is not a name and a value without spaces, quotes, backslashes, $ and backticks",
        ),
    ] {
        assert_eq!(refused(&settings), sentence);
    }
}
