//! The defects of the deployment that this one is better than cannot come back, where a manifest shows them.
//! <https://github.com/gregpalmr/alluxio-spark-eks>

// Helpers of tests may panic too; clippy only knows the tests themselves.
#![allow(clippy::expect_used, clippy::panic)]

mod rendered;

use rendered::{
    dev, flag, list, master_pod, named, objects, of_kind, pods, prod, provisioner_pod, settings, variable,
    worker_pods,
};
use serde_json::{Value, json};
use tidegate_domain::disks::fast_disk_node;
use tidegate_domain::names;
use tidegate_manifests::render;

fn containers(objects: &[Value]) -> Vec<&Value> {
    pods(objects)
        .into_iter()
        .flat_map(|pod| {
            list(&pod["initContainers"])
                .iter()
                .chain(list(&pod["containers"]))
        })
        .collect()
}

fn storage_class_map(objects: &[Value]) -> Value {
    let config = &named(objects, "ConfigMap", "local-volume-provisioner-config")["data"];
    serde_yaml_ng::from_str(config["storageClassMap"].as_str().expect("text")).expect("YAML")
}

#[test]
fn disks_are_mounted_and_looked_for_in_one_directory() {
    let objects = objects(&settings());
    let pod = provisioner_pod(&objects);
    let class = &storage_class_map(&objects)[names::FAST_DISKS_CLASS];
    let mounted = list(&pod["containers"][0]["volumeMounts"])
        .iter()
        .find(|mount| mount["mountPropagation"] == "HostToContainer")
        .expect("a mount that sees later mounts");
    let volume = list(&pod["volumes"])
        .iter()
        .find(|volume| volume["name"] == mounted["name"])
        .expect("its volume");
    for path in [
        &class["hostDir"],
        &class["mountDir"],
        &mounted["mountPath"],
        &volume["hostPath"]["path"],
    ] {
        assert_eq!(path, "/mnt/fast-disks");
    }
    let text = render(&settings()).expect("rendered");
    assert!(!text.replace("/mnt/fast-disks", "").contains("/mnt/fast-disk"));
}

#[test]
fn the_provisioner_waits_for_no_label_that_nothing_sets() {
    let objects = objects(&settings());
    let affinity = &provisioner_pod(&objects)["affinity"]["nodeAffinity"];
    let terms = &affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    let set = [false, true].map(fast_disk_node);
    assert_eq!(terms[0]["matchExpressions"][0]["values"], json!(set));
}

#[test]
fn a_disk_whose_mount_has_a_name_that_another_node_may_have_too_is_not_published() {
    let objects = objects(&settings());
    let classes = storage_class_map(&objects);
    let pattern = classes[names::FAST_DISKS_CLASS]["namePattern"]
        .as_str()
        .expect("text");
    let uuid = "6f1c1a52-4cbe-4a0e-9b8e-0d6d1b1f2c3a";
    let matches = |name: &str| {
        name.len() == pattern.len() && name.chars().zip(pattern.chars()).all(|(n, p)| p == '?' || p == n)
    };
    assert!(matches(uuid));
    for name in ["disk0", "nvme1n1", "lost+found"] {
        assert!(!matches(name), "{name}");
    }
}

#[test]
fn a_released_volume_is_published_again_and_one_of_a_vanished_node_goes() {
    let objects = objects(&settings());
    assert_eq!(
        named(&objects, "StorageClass", names::FAST_DISKS_CLASS)["reclaimPolicy"],
        "Delete"
    );
    let config = named(&objects, "ConfigMap", "local-volume-provisioner-config");
    assert_eq!(config["data"]["setPVOwnerRef"], "true");
}

#[test]
fn no_cleaner_is_configured_that_would_never_run() {
    let objects = objects(&settings());
    let class = &storage_class_map(&objects)[names::FAST_DISKS_CLASS];
    assert_eq!(class["volumeMode"], "Filesystem");
    assert!(class["blockCleanerCommand"].is_null());
}

#[test]
fn every_claim_is_of_a_class_that_somebody_provisions_and_belongs_to_one_pod() {
    for settings in [settings(), prod(), dev()] {
        let objects = objects(&settings);
        assert!(of_kind(&objects, "PersistentVolumeClaim").is_empty());
        let mut claims = Vec::new();
        for pod in pods(&objects) {
            for volume in list(&pod["volumes"]) {
                assert!(volume["persistentVolumeClaim"].is_null(), "{volume}");
                if volume["ephemeral"].is_object() {
                    claims.push(&volume["ephemeral"]["volumeClaimTemplate"]["spec"]);
                }
            }
        }
        for set in of_kind(&objects, "StatefulSet") {
            claims.extend(
                list(&set["spec"]["volumeClaimTemplates"])
                    .iter()
                    .map(|claim| &claim["spec"]),
            );
        }
        for claim in claims {
            let class = claim["storageClassName"].as_str().expect("a class");
            named(&objects, "StorageClass", class);
            assert_eq!(claim["accessModes"], json!(["ReadWriteOnce"]));
        }
    }
}

#[test]
fn the_class_standard_has_a_provisioner() {
    let objects = objects(&settings());
    let class = named(&objects, "StorageClass", "standard");
    assert_eq!(class["provisioner"], "ebs.csi.aws.com");
    assert_eq!(class["parameters"], json!({ "type": "gp3", "encrypted": "true" }));
    assert_eq!(class["volumeBindingMode"], "WaitForFirstConsumer");
    assert_eq!(class["reclaimPolicy"], "Delete");
    assert_eq!(class["allowVolumeExpansion"], true);
}

#[test]
fn masters_and_workers_never_share_a_disk() {
    for settings in [prod(), dev()] {
        let objects = objects(&settings);
        let set = named(&objects, "StatefulSet", "alluxio-master");
        let claims = list(&set["spec"]["volumeClaimTemplates"]);
        for claim in claims {
            assert_eq!(claim["spec"]["storageClassName"], "standard");
        }
        let master = &master_pod(&objects)["containers"][0];
        let options = variable(master, "ALLUXIO_MASTER_JAVA_OPTS");
        let mounts = list(&master["volumeMounts"]);
        for option in [
            "-Dalluxio.master.journal.folder=",
            "-Dalluxio.master.metastore.dir=",
        ] {
            let place = flag(options, option);
            let mount = mounts
                .iter()
                .find(|mount| place.starts_with(mount["mountPath"].as_str().expect("a path")))
                .expect("a mount");
            assert!(
                claims
                    .iter()
                    .any(|claim| claim["metadata"]["name"] == mount["name"]),
                "{place}"
            );
        }
        // What is of the node is the users' directory of files at most.
        for volume in list(&master_pod(&objects)["volumes"]) {
            assert_eq!(volume["hostPath"]["path"], "/under-store");
        }
    }
}

#[test]
fn no_disk_is_used_twice_and_no_cache_lands_on_the_root_disk() {
    let objects = objects(&settings());
    for pod in worker_pods(&objects) {
        let worker = &pod["containers"][0];
        let options = variable(worker, "ALLUXIO_WORKER_JAVA_OPTS");
        let paths: Vec<_> = flag(options, "-Dalluxio.worker.tieredstore.level0.dirs.path=")
            .split(',')
            .collect();
        assert_eq!(
            variable(worker, "ALLUXIO_WORKER_TIEREDSTORE_LEVEL0_DIRS_PATH"),
            paths.join(",")
        );
        let mut volumes: Vec<_> = paths
            .iter()
            .map(|path| {
                let mount = list(&worker["volumeMounts"])
                    .iter()
                    .find(|mount| mount["mountPath"] == *path)
                    .expect("the tier is a mount");
                let volume = list(&pod["volumes"])
                    .iter()
                    .find(|volume| volume["name"] == mount["name"])
                    .expect("its volume");
                assert!(
                    volume["hostPath"].is_null() && volume["ephemeral"].is_object(),
                    "{volume}"
                );
                mount["name"].as_str().expect("a name")
            })
            .collect();
        volumes.dedup();
        let claims = list(&pod["volumes"])
            .iter()
            .filter(|volume| volume["ephemeral"].is_object());
        assert_eq!(volumes.len(), claims.count());
    }
}

#[test]
fn the_autoscaler_looks_for_the_groups_of_this_very_cluster() {
    let objects = objects(&prod());
    let pod = &named(&objects, "Deployment", "cluster-autoscaler")["spec"]["template"]["spec"];
    let command = list(&pod["containers"][0]["command"]);
    let discovery = "--node-group-auto-discovery=asg:tag=k8s.io/cluster-autoscaler/enabled,k8s.io/cluster-autoscaler/prod";
    assert!(
        command.iter().any(|argument| argument == discovery),
        "{command:?}"
    );
}

#[test]
fn the_worker_can_make_its_socket_in_a_directory_that_the_kubelet_makes_for_root() {
    let objects = [objects(&settings()), objects(&dev())].concat();
    for pod in worker_pods(&objects) {
        let worker = &pod["containers"][0];
        let directory = flag(
            variable(worker, "ALLUXIO_WORKER_JAVA_OPTS"),
            "-Dalluxio.worker.data.server.domain.socket.address=",
        );
        let owner = &list(&pod["initContainers"])[0];
        assert_eq!(owner["command"], json!(["chown", "1000:1000", directory]));
        assert_eq!(owner["securityContext"]["runAsUser"], 0);
        assert_eq!(owner["securityContext"]["capabilities"]["add"], json!(["CHOWN"]));
        for container in [owner, worker] {
            let mount = list(&container["volumeMounts"])
                .iter()
                .find(|mount| mount["mountPath"] == directory)
                .expect("the directory is a mount");
            let volume = list(&pod["volumes"])
                .iter()
                .find(|volume| volume["name"] == mount["name"])
                .expect("its volume");
            assert_eq!(
                volume["hostPath"],
                json!({ "path": "/var/lib/alluxio/domain", "type": "DirectoryOrCreate" })
            );
        }
    }
}

#[test]
fn the_worker_can_write_to_a_fresh_file_system() {
    let objects = objects(&settings());
    for pod in worker_pods(&objects) {
        let context = &pod["securityContext"];
        assert_eq!(context["runAsUser"], 1000);
        assert_eq!(context["fsGroup"], context["runAsGroup"]);
    }
}

#[test]
fn a_quota_is_in_bytes_and_below_what_the_worker_can_use_of_its_disk() {
    let objects = objects(&settings());
    // GiB that uid 1000 can use of a 300 GB and a 900 GB disk under a default ext4, measured.
    let usable = [vec![259.98, 259.98], vec![259.98, 782.05, 782.05]];
    for (pod, usable) in worker_pods(&objects).into_iter().zip(usable) {
        let options = variable(&pod["containers"][0], "ALLUXIO_WORKER_JAVA_OPTS");
        let quotas = flag(options, "-Dalluxio.worker.tieredstore.level0.dirs.quota=").split(',');
        for (quota, usable) in quotas.zip(usable) {
            let gib = quota.parse::<f64>().expect("bytes without a unit") / 1_073_741_824.0;
            assert!(gib < usable && gib > 0.9 * usable, "{gib} of {usable}");
        }
    }
}

#[test]
fn heap_and_direct_memory_leave_room_within_the_limit() {
    let mib = |text: &str, unit: &str| {
        text.strip_suffix(unit)
            .and_then(|number| number.parse::<u64>().ok())
            .expect("MiB")
    };
    let mut processes = 0;
    for settings in [settings(), prod(), dev()] {
        let objects = objects(&settings);
        for pod in pods(&objects) {
            let in_memory: u64 = list(&pod["volumes"])
                .iter()
                .filter(|volume| volume["emptyDir"]["medium"] == "Memory")
                .map(|volume| mib(volume["emptyDir"]["sizeLimit"].as_str().expect("a size"), "Mi"))
                .sum();
            for container in list(&pod["containers"]) {
                let Some(options) = list(&container["env"])
                    .iter()
                    .filter_map(|variable| variable["value"].as_str())
                    .find(|value| value.contains("-Xmx"))
                else {
                    continue;
                };
                processes += 1;
                let tier = if container["name"] == "alluxio-worker" {
                    in_memory
                } else {
                    0
                };
                let used =
                    mib(flag(options, "-Xmx"), "m") + mib(flag(options, "-XX:MaxDirectMemorySize="), "m");
                let limit = mib(
                    container["resources"]["limits"]["memory"].as_str().expect("text"),
                    "Mi",
                );
                assert!(limit >= used + tier + 1024, "{limit} for {used} and {tier}");
                assert_eq!(
                    container["resources"]["requests"]["memory"],
                    container["resources"]["limits"]["memory"]
                );
            }
        }
    }
    // Two processes in each worker, of two, two and one layouts; two in each of two masters; and two proxies.
    assert_eq!(processes, 2 * 5 + 2 * 2 + 2);
}

#[test]
fn what_a_node_cannot_do_without_has_priority_resources_and_tolerations() {
    let objects = [objects(&prod()), objects(&dev())].concat();
    for set in of_kind(&objects, "DaemonSet") {
        let pod = &set["spec"]["template"]["spec"];
        assert_eq!(pod["priorityClassName"], "system-node-critical");
        assert!(!list(&pod["tolerations"]).is_empty());
    }
    for (kind, name) in [
        ("StatefulSet", "alluxio-master"),
        ("Deployment", "metrics-server"),
        ("Deployment", "cluster-autoscaler"),
    ] {
        let pod = &named(&objects, kind, name)["spec"]["template"]["spec"];
        assert_eq!(pod["priorityClassName"], "system-cluster-critical", "{name}");
    }
    for container in containers(&objects) {
        for amount in ["cpu", "memory"] {
            assert!(
                container["resources"]["requests"][amount].is_string(),
                "{container}"
            );
        }
        assert!(
            container["resources"]["limits"]["memory"].is_string(),
            "{container}"
        );
    }
}

#[test]
fn images_have_a_version_and_containers_no_privileges() {
    let objects = [objects(&prod()), objects(&dev())].concat();
    for container in containers(&objects) {
        let image = container["image"].as_str().expect("text");
        assert!(
            image.rsplit_once(':').is_some_and(|(_, tag)| tag != "latest"),
            "{image}"
        );
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert_ne!(container["securityContext"]["privileged"], true);
    }
}

#[test]
fn nothing_but_the_lever_ends_a_worker_with_its_data() {
    let objects = [objects(&settings()), objects(&dev())].concat();
    for set in of_kind(&objects, "DaemonSet") {
        if set["metadata"]["labels"]["role"] != "alluxio-worker" {
            continue;
        }
        assert_eq!(set["spec"]["updateStrategy"]["type"], "OnDelete");
        let template = &set["spec"]["template"];
        let annotations = &template["metadata"]["annotations"];
        assert_eq!(
            annotations["cluster-autoscaler.kubernetes.io/enable-ds-eviction"],
            "false"
        );
        assert!(template["spec"]["terminationGracePeriodSeconds"].as_u64() >= Some(120));
        assert_eq!(
            template["spec"]["containers"][0]["args"],
            json!(["worker-only", "--no-format"])
        );
    }
}
