//! What a cluster gets beside Alluxio's masters and workers.

use tidegate_domain::names;
use tidegate_manifests::AddOn;

use crate::rendered::{named, objects, prod};

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
