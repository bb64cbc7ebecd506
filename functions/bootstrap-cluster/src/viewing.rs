//! What there is in the end.

use tidegate_domain::bootstrap::{
    Inventory, KnownClusters, MasterRoles, MasterRow, Overview, Rows, WorkerRow,
};
use tidegate_domain::cache::WorkerState;
use tidegate_domain::drift::Workers;
use tidegate_domain::error::Result;
use tidegate_domain::ports::MasterPlaces;

use crate::{BootstrapCluster, Neighbours};

impl<N: Neighbours> BootstrapCluster<N> {
    pub(crate) async fn overview(
        &self,
        (cluster, master): (&N::Cluster, &N::Master),
        version: String,
        workers: &Workers,
    ) -> Result<Overview> {
        let roles = master.master_roles().await?;
        let masters = if self.manifests.masters.is_empty() {
            let places = cluster.master_places(&self.manifests.namespace).await?;
            MasterRow::of_places(places, &roles)
        } else {
            MasterRow::of_roles(&roles)
        };
        let rows = workers.all.iter().map(|worker| WorkerRow {
            host: worker.host.clone(),
            state: match worker.state {
                WorkerState::Live => "LIVE",
                WorkerState::Lost => "LOST",
                WorkerState::Decommissioned => "DECOMMISSIONED",
                WorkerState::Disabled => "DISABLED",
            }
            .into(),
            capacity_bytes: worker.capacity_bytes,
            used_bytes: worker.used_bytes,
        });
        Ok(Overview {
            cluster: self.cluster_name.clone(),
            version,
            node_groups: Rows::of(self.eks.node_groups().await?),
            nodes: cluster.node_rows().await?,
            daemon_sets: cluster.daemon_set_rows().await?,
            volumes: cluster.volume_rows().await?,
            masters: Rows::of(masters),
            workers: Rows::of(rows.collect()),
            top: cluster.usage_rows().await?,
        })
    }
}
