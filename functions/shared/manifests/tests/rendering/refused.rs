//! Settings that cannot work.

use tidegate_manifests::{AddOn, Error, Layout, MasterSet, Settings, render};

use crate::rendered::{prod, settings};

pub(crate) fn refused(settings: &Settings) -> String {
    render(settings)
        .map_err(|error: Error| error.to_string())
        .expect_err("refused")
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
