//! What the mains of several functions wire in the same way: the cluster's API server, the Alluxio masters,
//! executions.

use tidegate_alluxio::{AlluxioMaster, Login};
use tidegate_aws::RunningExecutions;
use tidegate_domain::error::Result;
use tidegate_kubernetes::Cluster;
use tidegate_lambda::Settings;

/// The API server of `CLUSTER_NAME`, as EKS tells it, with the EKS login of this function's role.
pub async fn cluster(function: &'static str, settings: &Settings) -> Result<Cluster> {
    let name = settings.text("CLUSTER_NAME")?;
    let aws = tidegate_aws::configuration().await;
    let access = tidegate_aws::cluster_access(&aws, &name).await?;
    let login = tidegate_aws::EksLogin::new(&aws, &name)?;
    Cluster::connect(
        function,
        &access.endpoint,
        &access.certificate_authority,
        move |refused| login.token(refused),
    )
}

/// The executions of this region.
#[must_use]
pub const fn executions() -> RunningExecutions {
    RunningExecutions::on_demand()
}

/// The masters of `ALLUXIO_MASTERS`, as the user `ALLUXIO_USER`.
pub fn alluxio_master(settings: &Settings) -> Result<AlluxioMaster> {
    AlluxioMaster::new(
        settings.list("ALLUXIO_MASTERS")?,
        Login::Simple {
            user: settings.text("ALLUXIO_USER")?,
        },
    )
}
