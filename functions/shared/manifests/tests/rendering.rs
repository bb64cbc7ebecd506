//! What is rendered is what the functions expect to find.

// Helpers of tests may panic too; clippy only knows the tests themselves.
#![allow(clippy::expect_used, clippy::panic)]

mod rendered;

use rendered::{
    dev, flag, list, master_pod, named, objects, of_kind, pods, prod, provisioner_pod, settings, variable,
    worker_pods,
};
use serde_json::{Value, json};
use tidegate_domain::disks::{Disk, expected_cache_bytes};
use tidegate_domain::names;
use tidegate_manifests::{AddOn, Error, JavaMemory, Layout, MasterSet, Settings, render};

fn refused(settings: &Settings) -> String {
    render(settings)
        .map_err(|error: Error| error.to_string())
        .expect_err("refused")
}

#[test]
fn every_document_is_a_kubernetes_object_with_a_name() {
    for settings in [settings(), prod(), dev()] {
        let objects = objects(&settings);
        for object in &objects {
            for field in [
                &object["apiVersion"],
                &object["kind"],
                &object["metadata"]["name"],
            ] {
                assert!(field.as_str().is_some_and(|text| !text.is_empty()), "{object}");
            }
        }
        let identities: Vec<_> = objects.iter().map(identity).collect();
        let mut unique = identities.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), identities.len(), "{identities:#?}");
    }
}

fn identity(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    format!(
        "{} {}/{}",
        text(&object["kind"]),
        text(&metadata["namespace"]),
        text(&metadata["name"])
    )
}

#[test]
fn nothing_of_a_template_is_left_in_the_text() {
    for settings in [settings(), prod(), dev()] {
        let text = render(&settings).expect("rendered");
        assert!(!text.contains("{{") && !text.contains("{%") && !text.contains("{#"));
    }
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

fn cluster_options(objects: &[Value]) -> &str {
    named(objects, "ConfigMap", "alluxio-config")["data"]["ALLUXIO_JAVA_OPTS"]
        .as_str()
        .expect("text")
}

#[test]
fn workers_and_clients_find_the_masters_of_the_cluster_by_the_names_of_their_pods() {
    let objects = objects(&prod());
    let host = |ordinal: u32| format!("alluxio-master-{ordinal}.alluxio-master.alluxio.svc.cluster.local");
    assert_eq!(
        flag(cluster_options(&objects), "-Dalluxio.master.rpc.addresses="),
        [0, 1, 2].map(|ordinal| host(ordinal) + ":19998").join(",")
    );
    let set = &named(&objects, "StatefulSet", "alluxio-master")["spec"];
    assert_eq!(set["replicas"], 3);
    let service = named(
        &objects,
        "Service",
        set["serviceName"].as_str().expect("a service"),
    );
    assert_eq!(service["spec"]["clusterIP"], "None");
    // Also of a master that is not ready: its own name is the first thing that it needs.
    assert_eq!(service["spec"]["publishNotReadyAddresses"], true);
    assert_eq!(service["spec"]["selector"], set["selector"]["matchLabels"]);
    for container in list(&master_pod(&objects)["containers"]) {
        for port in list(&container["ports"]) {
            let published = list(&service["spec"]["ports"]).iter().any(|of_service| {
                of_service["port"] == port["containerPort"] && of_service["name"] == port["name"]
            });
            assert!(published, "{port}");
        }
    }
}

#[test]
fn three_masters_keep_a_quorum_on_three_nodes_and_one_keeps_its_journal_in_files() {
    let several = objects(&prod());
    let own_name = "$(POD_NAME).alluxio-master.alluxio.svc.cluster.local";
    for (container, options) in [
        (0, "ALLUXIO_MASTER_JAVA_OPTS"),
        (1, "ALLUXIO_JOB_MASTER_JAVA_OPTS"),
    ] {
        let options = variable(&master_pod(&several)["containers"][container], options);
        assert_eq!(flag(options, "-Dalluxio.master.hostname="), own_name);
        assert_eq!(flag(options, "-Dalluxio.master.journal.type="), "EMBEDDED");
        let members = flag(options, "-Dalluxio.master.embedded.journal.addresses=");
        assert_eq!(members.split(',').count(), 3);
        assert!(members.split(',').all(|member| member.ends_with(":19200")));
    }
    let affinity = &master_pod(&several)["affinity"]["podAntiAffinity"];
    let apart = &affinity["requiredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(apart["topologyKey"], "kubernetes.io/hostname");
    let spread = &master_pod(&several)["topologySpreadConstraints"][0];
    assert_eq!(spread["topologyKey"], names::ZONE_LABEL);
    let budget = named(&several, "PodDisruptionBudget", "alluxio-master");
    assert_eq!(budget["spec"]["maxUnavailable"], 1);

    let one = objects(&dev());
    let options = variable(&master_pod(&one)["containers"][0], "ALLUXIO_MASTER_JAVA_OPTS");
    assert_eq!(flag(options, "-Dalluxio.master.journal.type="), "UFS");
    assert!(!options.contains("embedded"));
    assert_eq!(
        flag(cluster_options(&one), "-Dalluxio.master.hostname="),
        "alluxio-master-0.alluxio-master.alluxio.svc.cluster.local"
    );
}

#[test]
fn master_and_job_master_keep_their_journals_apart_and_format_them_once() {
    for settings in [prod(), dev()] {
        let objects = objects(&settings);
        let pod = master_pod(&objects);
        let folder = |container: &Value, name: &str| {
            flag(variable(container, name), "-Dalluxio.master.journal.folder=").to_owned()
        };
        let master = folder(&pod["containers"][0], "ALLUXIO_MASTER_JAVA_OPTS");
        let job_master = folder(&pod["containers"][1], "ALLUXIO_JOB_MASTER_JAVA_OPTS");
        assert_ne!(master, job_master);
        let format = &pod["initContainers"][0];
        assert_eq!(folder(format, "ALLUXIO_JAVA_OPTS"), master);
        let script = format["args"][0].as_str().expect("a script");
        assert!(script.starts_with("test -e /journal/formatted ||"), "{script}");
        assert!(
            script.contains(&master) && script.contains(&job_master),
            "{script}"
        );
        assert_eq!(
            pod["containers"][0]["args"],
            json!(["master-only", "--no-format"])
        );
    }
}

#[test]
fn masters_get_the_options_that_make_a_drains_way_back_short() {
    let objects = objects(&prod());
    let master = &master_pod(&objects)["containers"][0];
    let shared = list(&master["env"])
        .iter()
        .find(|variable| variable["name"] == "MASTER_OPTIONS")
        .expect("the shared options");
    let reference = &shared["valueFrom"]["configMapKeyRef"];
    let config = named(&objects, "ConfigMap", reference["name"].as_str().expect("a name"));
    let options = config["data"][reference["key"].as_str().expect("a key")].as_str();
    assert!(options.is_some_and(|options| options.contains("alluxio.master.lost.worker.deletion.timeout=")));
    assert!(variable(master, "ALLUXIO_MASTER_JAVA_OPTS").ends_with(" $(MASTER_OPTIONS)"));
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
fn a_master_stands_where_no_group_takes_its_node_away_and_may_be_there_before_any_worker() {
    let objects = objects(&prod());
    let pod = master_pod(&objects);
    assert_eq!(pod["nodeSelector"], json!({ names::MASTER_LABEL: names::TRUE }));
    assert!(
        list(&pod["tolerations"])
            .iter()
            .any(|toleration| toleration["key"] == names::STARTUP_TAINT && toleration["operator"] == "Exists")
    );
    let template = &named(&objects, "StatefulSet", "alluxio-master")["spec"]["template"];
    assert_eq!(
        template["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"],
        "false"
    );
}

#[test]
fn a_root_mount_that_is_a_directory_is_seen_by_all_that_read_and_write_it() {
    let objects = objects(&dev());
    let mut seen = Vec::new();
    for pod in pods(&objects) {
        for container in list(&pod["containers"]) {
            if list(&container["volumeMounts"])
                .iter()
                .any(|mount| mount["mountPath"] == "/under-store")
            {
                seen.push(container["name"].as_str().expect("a name"));
            }
        }
    }
    assert_eq!(
        seen,
        [
            "alluxio-master",
            "alluxio-job-master",
            "alluxio-worker",
            "alluxio-job-worker",
        ]
    );
    let elsewhere = render(&prod()).expect("rendered");
    assert!(!elsewhere.contains("under-store"));
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

#[test]
fn the_proxy_answers_where_the_reference_has_it() {
    let objects = objects(&prod());
    let service = &named(&objects, "Service", "alluxio-proxy")["spec"];
    assert_eq!(service["ports"][0]["port"], 39999);
    let proxy = &named(&objects, "Deployment", "alluxio-proxy")["spec"];
    assert_eq!(service["selector"], proxy["template"]["metadata"]["labels"]);
    assert_eq!(
        proxy["template"]["spec"]["containers"][0]["ports"][0]["containerPort"],
        39999
    );
    assert_eq!(proxy["replicas"], 2);
}

#[test]
fn the_autoscaler_is_of_the_clusters_minor() {
    for (minor, version) in [("1.34", "1.34.5"), ("1.35", "1.35.2"), ("1.36", "1.36.1")] {
        assert_eq!(
            AddOn::cluster_autoscaler_image(minor).expect("known"),
            format!("registry.k8s.io/autoscaling/cluster-autoscaler:v{version}")
        );
    }
}

#[test]
fn the_add_ons_run_where_no_worker_is_in_service_yet() {
    let objects = objects(&prod());
    for name in ["metrics-server", "cluster-autoscaler"] {
        let pods = &named(&objects, "Deployment", name)["spec"]["template"]["spec"];
        let tolerated = pods["tolerations"].as_array().expect("tolerations");
        assert!(
            tolerated
                .iter()
                .any(|toleration| toleration["key"] == names::STARTUP_TAINT
                    && toleration["effect"] == "NoSchedule"),
            "{name}: {tolerated:?}"
        );
    }
}

#[test]
fn metrics_are_served_by_the_pods_that_the_service_selects() {
    let objects = objects(&prod());
    let served = &named(&objects, "APIService", "v1beta1.metrics.k8s.io")["spec"]["service"];
    let service = named(&objects, "Service", served["name"].as_str().expect("a name"));
    assert_eq!(service["metadata"]["namespace"], served["namespace"]);
    let pods = &named(&objects, "Deployment", "metrics-server")["spec"]["template"];
    assert_eq!(service["spec"]["selector"], pods["metadata"]["labels"]);
    let port = &pods["spec"]["containers"][0]["ports"][0];
    assert_eq!(service["spec"]["ports"][0]["targetPort"], port["name"]);
}

#[test]
fn the_record_holds_what_the_drift_check_has_rights_on_and_nothing_beside_it() {
    let recorded = |settings: &Settings| {
        let objects = objects(settings);
        let record =
            &named(&objects, "ConfigMap", names::MANIFESTS_RECORD)["data"][names::MANIFESTS_RECORD_KEY];
        let held: Vec<Value> = serde_json::from_str(record.as_str().expect("text")).expect("JSON");
        let held: Vec<_> = held.iter().map(identity).collect();
        let beside: Vec<_> = objects
            .iter()
            .map(identity)
            .filter(|object| !held.contains(object))
            .collect();
        (held, beside)
    };
    let (held, beside) = recorded(&settings());
    assert_eq!(
        beside,
        [
            "StorageClass /standard",
            "ConfigMap kube-system/tidegate-manifests"
        ]
    );
    let (with_all, beside) = recorded(&prod());
    assert_eq!(with_all, held);
    for object in [
        "StatefulSet alluxio/alluxio-master",
        "Deployment alluxio/alluxio-proxy",
        "Deployment kube-system/metrics-server",
        "Deployment kube-system/cluster-autoscaler",
    ] {
        assert!(beside.iter().any(|identity| identity == object), "{object}");
    }
    let (in_memory, _) = recorded(&dev());
    assert!(
        in_memory
            .iter()
            .any(|identity| identity == "DaemonSet alluxio/alluxio-worker-memory")
    );
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
#[allow(clippy::too_many_lines, reason = "a table")]
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

#[test]
fn a_cluster_that_cannot_come_up_is_refused_in_one_sentence() {
    for (settings, sentence) in [
        (
            Settings {
                masters: vec!["master:19998".into()],
                ..prod()
            },
            "masters are named, and masters in the cluster are asked for: it is one or the other",
        ),
        (
            Settings {
                master_set: Some(MasterSet::new(2, "s3://bucket/".into())),
                ..prod()
            },
            "2 masters are neither 1 nor 3, of which one may be away",
        ),
        (
            Settings {
                master_set: Some(MasterSet::new(1, "bucket".into())),
                ..prod()
            },
            "root under store \"bucket\" is neither a URI such as s3://BUCKET/PREFIX nor a directory of the nodes",
        ),
        (
            Settings {
                master_set: Some(MasterSet::new(1, "/x y".into())),
                ..prod()
            },
            "root under store \"/x y\" is neither a URI such as s3://BUCKET/PREFIX nor a directory of the nodes",
        ),
        (
            Settings {
                layouts: vec![Layout::memory(512), Layout::memory(1024)],
                ..prod()
            },
            "disk layout memory is named twice",
        ),
        (
            Settings {
                add_ons: [prod().add_ons, prod().add_ons].concat(),
                ..prod()
            },
            "the add-on of image registry.k8s.io/metrics-server/metrics-server:v0.9.0 is named twice",
        ),
        (
            Settings {
                add_ons: vec![AddOn::ClusterAutoscaler {
                    image: "a".into(),
                    cluster_name: "a,b".into(),
                    region: "us-west-2".into(),
                }],
                ..prod()
            },
            "cluster name \"a,b\" is not letters, digits and hyphens",
        ),
    ] {
        assert_eq!(refused(&settings), sentence);
    }
}

#[test]
fn masters_and_workers_get_the_role_that_reaches_the_under_store() {
    let role = "arn:aws:iam::123456789012:role/tidegate-prod-alluxio";
    let annotated = |settings: &Settings| -> Vec<String> {
        let accounts = objects(settings)
            .into_iter()
            .filter(|object| object["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] == role);
        accounts.map(|account| identity(&account)).collect()
    };
    let mut settings = prod();
    assert!(annotated(&settings).is_empty());
    settings.alluxio_role_arn = Some(role.into());
    assert_eq!(
        annotated(&settings),
        [
            "ServiceAccount alluxio/alluxio-worker",
            "ServiceAccount alluxio/alluxio-master"
        ]
    );
    settings.alluxio_role_arn = Some("alluxio".into());
    assert_eq!(
        refused(&settings),
        "Alluxio's role \"alluxio\" is not the ARN of an IAM role"
    );
}
