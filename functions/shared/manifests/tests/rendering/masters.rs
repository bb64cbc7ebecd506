//! Masters in the cluster, and how they are found.

use serde_json::{Value, json};
use tidegate_domain::names;
use tidegate_manifests::{Settings, render};

use crate::identity;
use crate::refused::refused;
use crate::rendered::{dev, flag, list, master_pod, named, objects, pods, prod, settings, variable};

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
fn a_master_stands_where_no_group_takes_its_node_away_and_may_be_there_before_any_worker() {
    let objects = objects(&prod());
    let pod = master_pod(&objects);
    assert_eq!(pod["nodeSelector"], json!({ names::MASTER_LABEL: names::TRUE }));
    // A key for each: one that tolerated a cordon as well would come back to the node that is being drained.
    assert_eq!(
        pod["tolerations"],
        json!([
            { "key": names::STARTUP_TAINT, "operator": "Exists" },
            { "key": names::MASTER_LABEL, "operator": "Exists" },
        ])
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
