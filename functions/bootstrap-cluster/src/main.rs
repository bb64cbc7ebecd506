//! Wires `bootstrap-cluster` to the Lambda runtime.

use std::process::ExitCode;

use bootstrap_cluster::{AddOns, BootstrapCluster};
use tidegate_domain::api_server::ApiServer;
use tidegate_domain::drift::Scope;
use tidegate_lambda::{Settings, SystemClock, serve};

const FUNCTION: &str = "bootstrap-cluster";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let settings = Settings::from_environment();
        let aws = tidegate_aws::configuration().await;
        let cluster_name = settings.text("CLUSTER_NAME")?;
        let login = tidegate_wiring::login(&settings, &cluster_name)?;
        let mut manifests =
            tidegate_manifests::Settings::new(Vec::new(), settings.optional_list("ALLUXIO_MASTERS")?);
        manifests.namespace = settings.text("ALLUXIO_NAMESPACE")?;
        manifests.alluxio_image = settings.text("ALLUXIO_IMAGE")?;
        manifests.alluxio_role_arn = settings.optional("ALLUXIO_ROLE_ARN");
        manifests.provisioner_image = settings.text("PROVISIONER_IMAGE")?;
        manifests.worker_list_refresh_seconds = settings.number("WORKER_LIST_REFRESH_SECONDS")?;
        Ok(BootstrapCluster {
            eks: tidegate_aws::EksCluster::new(&aws, &cluster_name),
            connect: move |api_server: &ApiServer| {
                let cluster = tidegate_wiring::connect(FUNCTION, api_server, login.clone())?;
                let master = tidegate_wiring::alluxio_master(&Settings::from_environment(), &cluster)?;
                Ok((cluster, master))
            },
            groups: tidegate_aws::GroupListing::new(&aws),
            instances: tidegate_ec2::Ec2::new(&aws),
            clock: SystemClock,
            scope: Scope {
                join_hook: settings.text("JOIN_HOOK_NAME")?,
                drain_hook: settings.text("DRAIN_HOOK_NAME")?,
                namespace: settings.text("ALLUXIO_NAMESPACE")?,
            },
            manifests,
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
