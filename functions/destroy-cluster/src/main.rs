//! Wires `destroy-cluster` to the Lambda runtime.

use std::process::ExitCode;

use destroy_cluster::{DestroyCluster, Neighbours};
use tidegate_alluxio::{AlluxioMaster, AlluxioWorkers};
use tidegate_aws::{EksCluster, GroupListing, OtherMachines};
use tidegate_domain::api_server::ApiServer;
use tidegate_domain::cache::IdleWait;
use tidegate_domain::drift::Scope;
use tidegate_ec2::Ec2;
use tidegate_kubernetes::Cluster;
use tidegate_lambda::{Settings, SystemClock, serve};

const FUNCTION: &str = "destroy-cluster";

struct Deployed;

impl Neighbours for Deployed {
    type Eks = EksCluster;
    type Cluster = Cluster;
    type Groups = GroupListing;
    type Executions = OtherMachines;
    type Ec2 = Ec2;
    type Master = AlluxioMaster;
    type Workers = AlluxioWorkers;
    type Clock = SystemClock;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let settings = Settings::from_environment();
        let aws = tidegate_aws::configuration().await;
        let cluster_name = settings.text("CLUSTER_NAME")?;
        let login = tidegate_wiring::login(&settings, &cluster_name)?;
        let machines = vec![
            settings.text("NODE_JOIN_ARN")?,
            settings.text("NODE_DRAIN_ARN")?,
            settings.text("DRIFT_CHECK_ARN")?,
            settings.text("CLUSTER_BOOTSTRAP_ARN")?,
        ];
        Ok(DestroyCluster::<Deployed> {
            eks: EksCluster::new(&aws, &cluster_name),
            connect: Box::new(move |api_server: &ApiServer| {
                tidegate_wiring::connect(FUNCTION, api_server, login.clone())
            }),
            groups: GroupListing::new(&aws),
            executions: OtherMachines::new(&aws, machines),
            ec2: Ec2::new(&aws),
            master: tidegate_wiring::alluxio_master_while_there_is_a_cluster(
                FUNCTION,
                &settings,
                EksCluster::new(&aws, &cluster_name),
                tidegate_wiring::login(&settings, &cluster_name)?,
            )?,
            workers: AlluxioWorkers::default(),
            clock: SystemClock,
            scope: Scope {
                join_hook: settings.text("JOIN_HOOK_NAME")?,
                drain_hook: settings.text("DRAIN_HOOK_NAME")?,
                namespace: settings.text("ALLUXIO_NAMESPACE")?,
            },
            group_names: settings.list("AUTO_SCALING_GROUPS")?,
            cluster_name,
            stack_name: settings.optional("CLUSTER_STACK_NAME"),
            watch_seconds: settings.number("WATCH_SECONDS")?,
            limit_seconds: settings.number("DESTROY_LIMIT_SECONDS")?,
            idle_wait: IdleWait {
                refresh_seconds: settings.number("WORKER_LIST_REFRESH_SECONDS")?,
                limit_seconds: settings.number("IDLE_LIMIT_SECONDS")?,
            },
        })
    })
    .await
}
