//! Every worker at once, for the drift check and for the choice of those that go.

use std::collections::BTreeMap;

use tidegate_domain::cache::Worker;
use tidegate_domain::drift::{Workers, WorkersView};
use tidegate_domain::error::Result;
use tidegate_domain::ports::{Changed, WorkerReport};
use tonic::Code;

use crate::convert;
use crate::master::AlluxioMaster;
use crate::proto::block::{GetWorkerLostStoragePOptions, RemoveDisabledWorkerPOptions, WorkerRange};

impl WorkerReport for AlluxioMaster {
    async fn every_worker(&self) -> Result<Vec<Worker>> {
        let report = self
            .report(WorkerRange::All, None)
            .await
            .map_err(|failure| self.error(failure, "report on its workers"))?;
        report.iter().map(convert::worker).collect()
    }
}

impl AlluxioMaster {
    /// By host, as `<tier alias>:<directory>`. The master tells of all live workers that lost one, usually none.
    pub(crate) async fn every_lost_storage(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let lost = self
            .block(async |mut client, session| {
                client
                    .get_worker_lost_storage(session.request(GetWorkerLostStoragePOptions {}))
                    .await
            })
            .await
            .map_err(|failure| self.error(failure, "report the lost storage of its workers"))?;
        let mut lost_storage: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for info in lost.worker_lost_storage_info {
            let Some(address) = info.address else { continue };
            let directories = info.lost_storage.into_iter().flat_map(|(tier, directories)| {
                let storage = directories.storage.into_iter();
                storage.map(move |directory| format!("{tier}:{directory}"))
            });
            lost_storage
                .entry(address.host().to_owned())
                .or_default()
                .extend(directories);
        }
        for directories in lost_storage.values_mut() {
            directories.sort();
        }
        lost_storage.retain(|_, directories| !directories.is_empty());
        Ok(lost_storage)
    }
}

impl WorkersView for AlluxioMaster {
    async fn workers(&self) -> Result<Workers> {
        let all = self.every_worker().await?;
        let lost_storage = self.every_lost_storage().await?;
        Ok(Workers { all, lost_storage })
    }

    async fn forget(&self, worker: &Worker) -> Result<Changed> {
        let answer = self
            .block(async |mut client, session| {
                let request = RemoveDisabledWorkerPOptions {
                    worker_hostname: worker.host.clone(),
                    worker_web_port: Some(worker.web_port.into()),
                };
                client.remove_disabled_worker(session.request(request)).await
            })
            .await;
        match answer {
            Ok(_) => Ok(Changed::Done),
            Err(failure) if failure.is(Code::NotFound, "") => Ok(Changed::Gone),
            Err(failure) => Err(self.error(failure, &format!("forget worker {}", worker.host))),
        }
    }
}
