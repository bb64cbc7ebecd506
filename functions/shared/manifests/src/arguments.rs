//! The command line.

use tidegate_domain::names;
use tidegate_manifests::{AddOn, Layout, MasterSet, Settings};

pub(crate) const USAGE: &str = "\
Prints the Kubernetes manifests of a cluster, for `kubectl apply -f -`.

tidegate-manifests render --layout 2x300g [--layout 1x300g ...] --alluxio-masters HOST:PORT[,HOST:PORT ...]
tidegate-manifests render --layout 2x300g [--layout 1x300g ...] --master-replicas 3 --root-ufs s3://BUCKET/PREFIX

  --layout LAYOUT                 disks of a node group's instance type: counts and sizes in GB; memory: nodes without
                                  disks that their group labels alluxio-memory-worker=true
  --memory-tier-mib N             memory for the cache of each node of the layout memory (1024)
  --alluxio-masters LIST          the Alluxio masters, seen from the nodes
  --alluxio-namespace NAME        where the workers run (alluxio)
  --alluxio-image IMAGE           at least 2.9.4 (alluxio/alluxio:2.9.5)
  --alluxio-role-arn ARN          IAM role of masters and workers for the under store (that of their nodes)
  --alluxio-property NAME=VALUE   for every Alluxio process; may be given several times
  --provisioner-image IMAGE       (registry.k8s.io/sig-storage/local-volume-provisioner:v2.9.0)
  --worker-list-refresh-seconds N how old a client's list of workers may be (120)
  --worker-heap-mib N             (4096)   --worker-direct-mib N      (4096)
  --job-worker-heap-mib N         (1024)   --job-worker-direct-mib N  (1024)

Alluxio masters in the cluster, on nodes that their group labels tidegate.dev/alluxio-master=true:
  --master-replicas N             1 or 3
  --root-ufs PLACE                where the files are kept: a URI, or a directory that every node has mounted
  --master-heap-mib N             (4096)   --master-direct-mib N      (1024)
  --job-master-heap-mib N         (1024)   --job-master-direct-mib N  (512)
  --journal-gib N                 (20)     --metastore-gib N          (20)

Beside them, if wanted:
  --proxy-replicas N              proxies for REST and S3 behind the service alluxio-proxy:39999
  --proxy-heap-mib N              (1024)   --proxy-direct-mib N       (512)
  --add-on NAME                   metrics-server or cluster-autoscaler; may be given twice
  --metrics-server-image IMAGE    (registry.k8s.io/metrics-server/metrics-server:v0.9.0, for Kubernetes 1.34 and later)
  --cluster-autoscaler-image IMAGE  (that of --kubernetes-version)
  --kubernetes-version MINOR      the cluster's, for its Cluster Autoscaler: 1.34, 1.35 or 1.36
  --cluster-name NAME             the EKS cluster, by which its groups are tagged, for its Cluster Autoscaler
  --region NAME                   where it is";

/// Reads the settings from the arguments after the program's name; the error is a sentence.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Settings, String> {
    let mut arguments = arguments.into_iter();
    match arguments.next().as_deref() {
        Some("render") => (),
        Some(other) => return Err(format!("{other:?} is no command; the only one is render")),
        None => return Err("no command is given; the only one is render".into()),
    }
    let mut given = Given {
        settings: Settings::new(Vec::new(), Vec::new()),
        masters: MasterSet::new(0, String::new()),
        memory_layout: false,
        memory_tier_mib: 1024,
        add_ons: Vec::new(),
        metrics_server_image: None,
        cluster_autoscaler_image: None,
        kubernetes_version: None,
        cluster_name: None,
        region: None,
    };
    while let Some(option) = arguments.next() {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (option, None),
        };
        let Some(value) = value.or_else(|| arguments.next()) else {
            return Err(format!("{name} is given without a value"));
        };
        given.set(&name, value)?;
    }
    given.settings()
}

/// What was given, of which some only counts together.
struct Given {
    settings: Settings,
    /// No replicas: masters elsewhere.
    masters: MasterSet,
    memory_layout: bool,
    memory_tier_mib: u32,
    add_ons: Vec<String>,
    metrics_server_image: Option<String>,
    cluster_autoscaler_image: Option<String>,
    kubernetes_version: Option<String>,
    cluster_name: Option<String>,
    region: Option<String>,
}

impl Given {
    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        let settings = &mut self.settings;
        match name {
            "--layout" if value == names::MEMORY_LAYOUT => self.memory_layout = true,
            "--layout" => settings
                .layouts
                .push(Layout::parse(&value).map_err(|error| error.to_string())?),
            "--memory-tier-mib" => self.memory_tier_mib = number(name, &value)?,
            "--alluxio-masters" => settings.masters.extend(value.split(',').map(str::to_owned)),
            "--alluxio-namespace" => settings.namespace = value,
            "--alluxio-image" => settings.alluxio_image = value,
            "--alluxio-role-arn" => settings.alluxio_role_arn = Some(value),
            "--alluxio-property" => {
                let (property, value) = value
                    .split_once('=')
                    .ok_or_else(|| format!("{name} {value:?} is not a name, =, and a value"))?;
                settings.properties.push((property.to_owned(), value.to_owned()));
            }
            "--provisioner-image" => settings.provisioner_image = value,
            "--worker-list-refresh-seconds" => settings.worker_list_refresh_seconds = number(name, &value)?,
            "--worker-heap-mib" => settings.worker.heap_mib = number(name, &value)?,
            "--worker-direct-mib" => settings.worker.direct_mib = number(name, &value)?,
            "--job-worker-heap-mib" => settings.job_worker.heap_mib = number(name, &value)?,
            "--job-worker-direct-mib" => settings.job_worker.direct_mib = number(name, &value)?,
            "--master-replicas" => self.masters.replicas = number(name, &value)?,
            "--root-ufs" => self.masters.root_ufs = value,
            "--master-heap-mib" => self.masters.memory.heap_mib = number(name, &value)?,
            "--master-direct-mib" => self.masters.memory.direct_mib = number(name, &value)?,
            "--job-master-heap-mib" => self.masters.job_master.heap_mib = number(name, &value)?,
            "--job-master-direct-mib" => self.masters.job_master.direct_mib = number(name, &value)?,
            "--journal-gib" => self.masters.journal_gib = number(name, &value)?,
            "--metastore-gib" => self.masters.metastore_gib = number(name, &value)?,
            "--proxy-replicas" => settings.proxy_replicas = number(name, &value)?,
            "--proxy-heap-mib" => settings.proxy.heap_mib = number(name, &value)?,
            "--proxy-direct-mib" => settings.proxy.direct_mib = number(name, &value)?,
            "--add-on" => self.add_ons.push(value),
            "--metrics-server-image" => self.metrics_server_image = Some(value),
            "--cluster-autoscaler-image" => self.cluster_autoscaler_image = Some(value),
            "--kubernetes-version" => self.kubernetes_version = Some(value),
            "--cluster-name" => self.cluster_name = Some(value),
            "--region" => self.region = Some(value),
            _ => return Err(format!("{name:?} is no option")),
        }
        Ok(())
    }

    fn settings(mut self) -> Result<Settings, String> {
        let mut settings = self.settings;
        if self.memory_layout {
            settings.layouts.push(Layout::memory(self.memory_tier_mib));
        }
        match (self.masters.replicas, self.masters.root_ufs.is_empty()) {
            (0, true) => (),
            (0, false) => {
                return Err(
                    "--root-ufs is given without --master-replicas: masters elsewhere have their own".into(),
                );
            }
            (_, true) => {
                return Err("--master-replicas is given without --root-ufs, where the files are kept".into());
            }
            (_, false) => settings.master_set = Some(self.masters),
        }
        for name in self.add_ons {
            settings.add_ons.push(match name.as_str() {
                AddOn::METRICS_SERVER => AddOn::MetricsServer {
                    image: self
                        .metrics_server_image
                        .clone()
                        .unwrap_or_else(AddOn::metrics_server_image),
                },
                AddOn::CLUSTER_AUTOSCALER => {
                    let needed = |option: &str, value: &mut Option<String>| {
                        value
                            .take()
                            .ok_or_else(|| format!("--add-on cluster-autoscaler is given without {option}"))
                    };
                    let image = match self.cluster_autoscaler_image.take() {
                        Some(image) => image,
                        None => AddOn::cluster_autoscaler_image(&needed(
                            "--kubernetes-version",
                            &mut self.kubernetes_version,
                        )?)
                        .map_err(|error| error.to_string())?,
                    };
                    AddOn::ClusterAutoscaler {
                        image,
                        cluster_name: needed("--cluster-name", &mut self.cluster_name)?,
                        region: needed("--region", &mut self.region)?,
                    }
                }
                _ => {
                    return Err(format!(
                        "--add-on {name:?} is neither metrics-server nor cluster-autoscaler"
                    ));
                }
            });
        }
        Ok(settings)
    }
}

fn number(name: &str, value: &str) -> Result<u32, String> {
    value
        .parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| format!("{name} {value:?} is not a whole number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Settings, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_taken_with_a_space_or_an_equals_sign() {
        let settings = parsed(
            "render --layout=2x300g --layout 1x300g --alluxio-masters a:1,b:2 \
             --alluxio-property x.y=z=1 --worker-heap-mib 512",
        )
        .expect("valid");
        assert_eq!(settings.layouts.len(), 2);
        assert_eq!(settings.masters, ["a:1", "b:2"]);
        assert_eq!(settings.properties, [("x.y".to_owned(), "z=1".to_owned())]);
        assert_eq!(settings.worker.heap_mib, 512);
    }

    #[test]
    fn masters_in_the_cluster_and_add_ons_are_taken_in_any_order() {
        let settings = parsed(
            "render --add-on cluster-autoscaler --root-ufs s3://bucket/alluxio --journal-gib 5 --layout memory \
             --master-replicas 3 --region us-west-2 --add-on metrics-server --kubernetes-version 1.35 \
             --cluster-name prod --memory-tier-mib 2048 --proxy-replicas 2",
        )
        .expect("valid");
        let set = settings.master_set.expect("masters in the cluster");
        assert_eq!((set.replicas, set.journal_gib), (3, 5));
        assert_eq!(set.root_ufs, "s3://bucket/alluxio");
        assert_eq!(settings.layouts, [Layout::memory(2048)]);
        assert_eq!(settings.proxy_replicas, 2);
        let autoscaler = AddOn::ClusterAutoscaler {
            image: "registry.k8s.io/autoscaling/cluster-autoscaler:v1.35.2".into(),
            cluster_name: "prod".into(),
            region: "us-west-2".into(),
        };
        let metrics = AddOn::MetricsServer {
            image: "registry.k8s.io/metrics-server/metrics-server:v0.9.0".into(),
        };
        assert_eq!(settings.add_ons, [autoscaler, metrics]);
    }

    #[test]
    fn what_is_wrong_with_the_line_is_one_sentence() {
        for (line, sentence) in [
            ("", "no command is given; the only one is render"),
            ("apply", "\"apply\" is no command; the only one is render"),
            ("render --layout", "--layout is given without a value"),
            ("render --colour red", "\"--colour\" is no option"),
            (
                "render --worker-heap-mib 4g",
                "--worker-heap-mib \"4g\" is not a whole number above 0",
            ),
            (
                "render --alluxio-property x",
                "--alluxio-property \"x\" is not a name, =, and a value",
            ),
            (
                "render --master-replicas 0",
                "--master-replicas \"0\" is not a whole number above 0",
            ),
            (
                "render --master-replicas 3",
                "--master-replicas is given without --root-ufs, where the files are kept",
            ),
            (
                "render --root-ufs s3://b",
                "--root-ufs is given without --master-replicas: masters elsewhere have their own",
            ),
            (
                "render --add-on spark",
                "--add-on \"spark\" is neither metrics-server nor cluster-autoscaler",
            ),
            (
                "render --add-on cluster-autoscaler --kubernetes-version 1.36 --region r",
                "--add-on cluster-autoscaler is given without --cluster-name",
            ),
            (
                "render --add-on cluster-autoscaler --cluster-name c --region r",
                "--add-on cluster-autoscaler is given without --kubernetes-version",
            ),
            (
                "render --add-on cluster-autoscaler --kubernetes-version 1.28",
                "Kubernetes version \"1.28\" is none of 1.34, 1.35 and 1.36, for which a Cluster Autoscaler is known: \
                 name its image",
            ),
        ] {
            assert_eq!(parsed(line).expect_err(line), sentence);
        }
    }
}
