//! What the mains of several functions wire in the same way: the cluster's API server, the Alluxio masters,
//! executions.

mod in_cluster;

pub use in_cluster::{InCluster, connect, login, region};

use tidegate_alluxio::{AlluxioMaster, Login};
use tidegate_aws::{EksCluster, EksLogin, RunningExecutions};
use tidegate_domain::api_server::ApiServers;
use tidegate_domain::error::Result;
use tidegate_domain::ports::{MasterPlace, MasterPlaces};
use tidegate_kubernetes::Cluster;
use tidegate_lambda::Settings;

/// The API server of `CLUSTER_NAME`, as EKS tells it, with the EKS login of this function's role: for functions that no
/// state machine tells where it is.
pub async fn cluster(function: &'static str, settings: &Settings) -> Result<Cluster> {
    let aws = tidegate_aws::configuration().await;
    let name = settings.text("CLUSTER_NAME")?;
    let api_server = EksCluster::new(&aws, &name).api_server().await?;
    in_cluster::connect(function, &api_server, in_cluster::login(settings, &name)?)
}

/// A function in the cluster `CLUSTER_NAME`, with the EKS login of its role, that is told with each call where the API
/// server is.
pub fn in_cluster<Make, F>(
    function: &'static str,
    settings: Settings,
    make: Make,
) -> Result<InCluster<Make, F>>
where
    Make: Fn(&Settings, Cluster) -> Result<F>,
{
    let login = in_cluster::login(&settings, &settings.text("CLUSTER_NAME")?)?;
    Ok(InCluster::new(function, login, settings, make))
}

/// The executions of this region.
#[must_use]
pub const fn executions() -> RunningExecutions {
    RunningExecutions::on_demand()
}

/// The masters of `ALLUXIO_MASTERS`, or where it is empty those that run in the cluster, in the namespace
/// `ALLUXIO_NAMESPACE`; as the user `ALLUXIO_USER`.
pub fn alluxio_master(settings: &Settings, cluster: &Cluster) -> Result<AlluxioMaster> {
    let (named, user) = (
        settings.optional_list("ALLUXIO_MASTERS")?,
        settings.text("ALLUXIO_USER")?,
    );
    master_at(named, user, settings.text("ALLUXIO_NAMESPACE")?, cluster.clone())
}

/// The same in a cluster that may be gone: EKS is asked for its API server whenever masters that run in it are looked for.
pub fn alluxio_master_while_there_is_a_cluster(
    function: &'static str,
    settings: &Settings,
    eks: EksCluster,
    login: EksLogin,
) -> Result<AlluxioMaster> {
    let (named, user) = (
        settings.optional_list("ALLUXIO_MASTERS")?,
        settings.text("ALLUXIO_USER")?,
    );
    let places = PlacesOfTheTime { function, eks, login };
    master_at(named, user, settings.text("ALLUXIO_NAMESPACE")?, places)
}

fn master_at(
    named: Vec<String>,
    user: String,
    namespace: String,
    places: impl MasterPlaces + 'static,
) -> Result<AlluxioMaster> {
    let login = Login::Simple { user };
    if named.is_empty() {
        Ok(AlluxioMaster::in_cluster(places, namespace, login))
    } else {
        AlluxioMaster::new(named, login)
    }
}

/// The masters' places in a cluster that is asked for anew each time.
struct PlacesOfTheTime {
    function: &'static str,
    eks: EksCluster,
    login: EksLogin,
}

impl MasterPlaces for PlacesOfTheTime {
    async fn master_places(&self, namespace: &str) -> Result<Vec<MasterPlace>> {
        let api_server = self.eks.api_server().await?;
        connect(self.function, &api_server, self.login.clone())?
            .master_places(namespace)
            .await
    }
}
