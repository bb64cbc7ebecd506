//! Wires `bootstrap-cluster` to the Lambda runtime.

use std::process::ExitCode;

use bootstrap_cluster::{AddOns, BootstrapCluster, Neighbours};
use tidegate_alluxio::AlluxioMaster;
use tidegate_aws::{EksCluster, GroupListing};
use tidegate_domain::api_server::ApiServer;
use tidegate_domain::drift::Scope;
use tidegate_domain::error::Result;
use tidegate_ec2::Ec2;
use tidegate_kubernetes::Cluster;
use tidegate_lambda::{Settings, SystemClock, serve};
use tidegate_manifests::{JavaMemory, MasterSet};

const FUNCTION: &str = "bootstrap-cluster";

struct Deployed;

impl Neighbours for Deployed {
    type Eks = EksCluster;
    type Cluster = Cluster;
    type Master = AlluxioMaster;
    type Groups = GroupListing;
    type Ec2 = Ec2;
    type Clock = SystemClock;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let settings = Settings::from_environment();
        let aws = tidegate_aws::configuration().await;
        let cluster_name = settings.text("CLUSTER_NAME")?;
        let login = tidegate_wiring::login(&settings, &cluster_name)?;
        Ok(BootstrapCluster::<Deployed> {
            eks: EksCluster::new(&aws, &cluster_name),
            connect: Box::new(move |api_server: &ApiServer| {
                let cluster = tidegate_wiring::connect(FUNCTION, api_server, login.clone())?;
                let master = tidegate_wiring::alluxio_master(&Settings::from_environment(), &cluster)?;
                Ok((cluster, master))
            }),
            groups: GroupListing::new(&aws).with_array_groups(settings.optional_list("ARRAY_GROUPS")?),
            instances: Ec2::new(&aws),
            clock: SystemClock,
            scope: Scope {
                join_hook: settings.text("JOIN_HOOK_NAME")?,
                drain_hook: settings.text("DRAIN_HOOK_NAME")?,
                namespace: settings.text("ALLUXIO_NAMESPACE")?,
            },
            manifests: manifests(&settings)?,
            memory_tier_mib: settings.number("MEMORY_TIER_MIB")?,
            add_ons: AddOns {
                names: settings.list("ADD_ONS")?,
                metrics_server_image: settings.text("METRICS_SERVER_IMAGE")?,
                cluster_autoscaler_image: settings.optional("CLUSTER_AUTOSCALER_IMAGE"),
                region: tidegate_wiring::region(&settings)?,
            },
            group_names: settings.list("AUTO_SCALING_GROUPS")?,
            cluster_name,
            watch_seconds: settings.number("WATCH_SECONDS")?,
            limit_seconds: settings.number("BOOTSTRAP_LIMIT_SECONDS")?,
        })
    })
    .await
}

/// What the manifests are rendered with, but for what the groups and the cluster say.
fn manifests(settings: &Settings) -> Result<tidegate_manifests::Settings> {
    let replicas = settings.number("MASTER_REPLICAS")?;
    let root_ufs = settings.optional("ROOT_UFS").unwrap_or_default();
    let masters = MasterSet {
        memory: JavaMemory {
            heap_mib: settings.number("MASTER_HEAP_MIB")?,
            direct_mib: settings.number("MASTER_DIRECT_MIB")?,
        },
        job_master: JavaMemory {
            heap_mib: settings.number("JOB_MASTER_HEAP_MIB")?,
            direct_mib: settings.number("JOB_MASTER_DIRECT_MIB")?,
        },
        ..MasterSet::new(replicas, root_ufs)
    };
    let named = settings.optional_list("ALLUXIO_MASTERS")?;
    Ok(tidegate_manifests::Settings {
        namespace: settings.text("ALLUXIO_NAMESPACE")?,
        alluxio_image: settings.text("ALLUXIO_IMAGE")?,
        alluxio_role_arn: settings.optional("ALLUXIO_ROLE_ARN"),
        provisioner_image: settings.text("PROVISIONER_IMAGE")?,
        worker_list_refresh_seconds: settings.number("WORKER_LIST_REFRESH_SECONDS")?,
        master_set: (replicas > 0).then_some(masters),
        proxy_replicas: settings.number("PROXY_REPLICAS")?,
        worker: JavaMemory {
            heap_mib: settings.number("WORKER_HEAP_MIB")?,
            direct_mib: settings.number("WORKER_DIRECT_MIB")?,
        },
        job_worker: JavaMemory {
            heap_mib: settings.number("JOB_WORKER_HEAP_MIB")?,
            direct_mib: settings.number("JOB_WORKER_DIRECT_MIB")?,
        },
        ..tidegate_manifests::Settings::new(Vec::new(), named)
    })
}
