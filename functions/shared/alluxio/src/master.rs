//! The master: [`CacheMaster`].

use std::rc::Rc;

use futures::FutureExt;
use tidegate_domain::cache::{FileState, Holder, Stores, Worker};
use tidegate_domain::error::{Error, ErrorName, Result};
use tidegate_domain::names;
use tidegate_domain::ports::{CacheMaster, Changed, Copied, CopyTargets, CopyWish, MasterPlaces};
use tokio::sync::Mutex;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::connection::{Connection, Lookup, Role, Session};
use crate::convert;
use crate::copies::{Copies, Targets};
use crate::error::Failure;
use crate::login::Login;
use crate::proto::ConfigProperty;
use crate::proto::block::block_master_client_service_client::BlockMasterClientServiceClient;
use crate::proto::block::{
    DecommissionWorkerPOptions, GetWorkerReportPOptions, WorkerInfo, WorkerInfoField, WorkerRange,
};
use crate::proto::file::file_system_master_client_service_client::FileSystemMasterClientServiceClient;
use crate::proto::file::{
    FileInfo, FileSystemMasterCommonPOptions, GetStatusPOptions, GetStatusPRequest, LoadMetadataPType,
    ScheduleAsyncPersistencePOptions, ScheduleAsyncPersistencePRequest,
};
use crate::proto::meta::GetConfigurationPOptions;
use crate::proto::meta::meta_master_configuration_service_client::MetaMasterConfigurationServiceClient;

/// A file of 1 TB has 16,000 blocks of 64 MB, and each names its workers: about 200 bytes a copy. A report on 5,000
/// workers has about 300 bytes for each.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// All of them. Without `WORKER_CAPACITY_BYTES_ON_TIERS` and `WORKER_USED_BYTES_ON_TIERS` the master of 2.9.6
/// answers INTERNAL as soon as a worker matches.
const EVERY_FIELD: [WorkerInfoField; 12] = [
    WorkerInfoField::Address,
    WorkerInfoField::WorkerCapacityBytes,
    WorkerInfoField::WorkerCapacityBytesOnTiers,
    WorkerInfoField::Id,
    WorkerInfoField::LastContactSec,
    WorkerInfoField::StartTimeMs,
    WorkerInfoField::State,
    WorkerInfoField::WorkerUsedBytes,
    WorkerInfoField::WorkerUsedBytesOnTiers,
    WorkerInfoField::BlockCount,
    WorkerInfoField::BuildVersion,
    WorkerInfoField::NumVcpu,
];

type Answer<T> = std::result::Result<Response<T>, Status>;
type Called<T> = std::result::Result<T, Failure>;

/// The primary among the masters of one Alluxio cluster.
///
/// Connects at the first call, remembers which master is the primary, and looks again when it is not any more. A
/// call ends within its deadline of 5 s; one that has to find the primary and log in first within 6 s more, 9 s where
/// the masters are looked up before. It is made twice at most, which changes nothing: all calls may be.
///
/// Cheap to share by reference; calls at the same time use one connection.
pub struct AlluxioMaster {
    connection: Connection,
    copies: Copies,
    targets: Mutex<Option<Targets>>,
}

impl AlluxioMaster {
    /// The masters as `host:port` of their RPC port (19998), in any order. Connects nowhere yet.
    ///
    /// `InvalidInput` where there is none, or one that is not a host and a port.
    pub fn new(masters: Vec<String>, login: Login) -> Result<Self> {
        const FIELD: &str = "Alluxio masters";
        if masters.is_empty() {
            return Err(Error::invalid(FIELD, "an empty list", "at least one host:port"));
        }
        let connection = Connection::new(Role::Master, masters, login.clone())
            .map_err(|bad| Error::invalid(FIELD, bad, "a host:port"))?;
        Ok(Self::over(connection, login))
    }

    /// The masters that run in the cluster, in the namespace of the workers. They are looked up whenever the primary is
    /// looked for: a restarted master is somewhere else. `AlluxioUnavailable` as long as there is none; errors of the
    /// lookup arrive unchanged.
    pub fn in_cluster(places: impl MasterPlaces + 'static, namespace: String, login: Login) -> Self {
        let looked_for = Rc::new((places, namespace));
        let lookup: Lookup = Box::new(move || {
            let looked_for = Rc::clone(&looked_for);
            async move {
                let (places, namespace) = &*looked_for;
                let found = places.master_places(namespace).await?;
                if found.is_empty() {
                    let service = names::MASTER_SERVICE;
                    return Err(Error::new(
                        ErrorName::AlluxioUnavailable,
                        format!("no Alluxio master runs in the cluster: service {namespace}/{service} has no address"),
                    ));
                }
                Ok(found.into_iter().map(|place| place.address).collect())
            }
            .boxed_local()
        });
        let connection = Connection::found_by(Role::Master, lookup, login.clone());
        Self::over(connection, login)
    }

    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    fn over(connection: Connection, login: Login) -> Self {
        Self {
            connection,
            copies: Copies::new(login),
            targets: Mutex::new(None),
        }
    }

    pub(crate) async fn block<T>(
        &self,
        call: impl AsyncFn(BlockMasterClientServiceClient<Channel>, &Session) -> Answer<T>,
    ) -> Called<T> {
        self.connection
            .call(async |session| {
                call(
                    BlockMasterClientServiceClient::new(session.channel.clone()),
                    session,
                )
                .await
            })
            .await
    }

    pub(crate) async fn file_system<T>(
        &self,
        call: impl AsyncFn(FileSystemMasterClientServiceClient<Channel>, &Session) -> Answer<T>,
    ) -> Called<T> {
        self.connection
            .call(async |session| {
                let client = FileSystemMasterClientServiceClient::new(session.channel.clone())
                    .max_decoding_message_size(LARGEST_ANSWER);
                call(client, session).await
            })
            .await
    }

    pub(crate) fn error(&self, failure: Failure, what: &str) -> Error {
        failure.classify(what, self.connection.user())
    }

    pub(crate) async fn report(&self, range: WorkerRange, host: Option<&str>) -> Called<Vec<WorkerInfo>> {
        self.block(async |client, session| {
            let request = GetWorkerReportPOptions {
                addresses: host.into_iter().map(str::to_owned).collect(),
                field_ranges: EVERY_FIELD.into_iter().map(Into::into).collect(),
                worker_range: Some(range.into()),
            };
            client
                .max_decoding_message_size(LARGEST_ANSWER)
                .get_worker_report(session.request(request))
                .await
        })
        .await
        .map(|report| report.worker_infos)
    }

    async fn status(&self, path: &str) -> Result<Option<FileInfo>> {
        let answer = self
            .file_system(async |mut client, session| {
                let request = GetStatusPRequest {
                    path: Some(path.to_owned()),
                    options: Some(GetStatusPOptions {
                        load_metadata_type: Some(LoadMetadataPType::Never.into()),
                        common_options: Some(as_it_is()),
                        update_timestamps: Some(false),
                    }),
                };
                client.get_status(session.request(request)).await
            })
            .await;
        match answer {
            Ok(answer) => Ok(answer.file_info),
            Err(failure) if failure.is(Code::NotFound, "") => Ok(None),
            Err(failure) => Err(self.error(failure, &format!("tell the status of {path}"))),
        }
    }

    /// As the primary is configured now. It goes by what it was started with; both differ only if somebody changed
    /// the property while it ran.
    async fn configuration(&self) -> Result<Vec<ConfigProperty>> {
        let answer = self
            .connection
            .call(async |session| {
                let request = GetConfigurationPOptions {
                    ignore_path_conf: Some(true),
                };
                MetaMasterConfigurationServiceClient::new(session.channel.clone())
                    .get_configuration(session.request(request))
                    .await
            })
            .await
            .map_err(|failure| self.error(failure, "tell its configuration"))?;
        Ok(answer.cluster_configs)
    }

    /// The workers that may take copies: a list as long as the cluster is large, so it is kept for some seconds.
    async fn targets(&self) -> Result<Targets> {
        let mut known = self.targets.lock().await;
        match &*known {
            Some(targets) if targets.fresh() => Ok(targets.clone()),
            _ => {
                let report = self.report(WorkerRange::Live, None).await;
                let report = report.map_err(|failure| self.error(failure, "report on its workers"))?;
                let workers = report.iter().map(convert::worker).collect::<Result<_>>()?;
                Ok(known.insert(Targets::new(workers)).clone())
            }
        }
    }
}

impl CacheMaster for AlluxioMaster {
    /// One call that names the host, which the master looks up among live, lost and decommissioned workers alike.
    /// A host that it does not know is answered with the names of all that it knows: about 30 KB for 500 workers.
    async fn worker(&self, host: &str) -> Result<Option<Worker>> {
        match self.report(WorkerRange::Specified, Some(host)).await {
            Ok(report) => report.first().map(convert::worker).transpose(),
            Err(failure) if failure.is(Code::InvalidArgument, "Unrecognized worker names") => Ok(None),
            Err(failure) => Err(self.error(failure, &format!("report on worker {host}"))),
        }
    }

    async fn lost_storage(&self, host: &str) -> Result<Vec<String>> {
        let mut lost = self.every_lost_storage().await?;
        Ok(lost.remove(host).unwrap_or_default())
    }

    /// What the master knows, and nothing else: it neither looks into the under store nor takes the look for a use
    /// of the file. So a file that was only ever in the under store is none.
    async fn file(&self, path: &str) -> Result<Option<FileState>> {
        let file = self.status(path).await?.map(convert::file);
        if let Some(file) = &file {
            self.copies.saw(file);
        }
        Ok(file)
    }

    async fn stores(&self) -> Result<Stores> {
        let configuration = self.configuration().await?;
        let value = |name: &str| {
            let property = configuration.iter().find(|property| property.name() == name);
            property.map(ConfigProperty::value)
        };
        Ok(Stores {
            blacklist: substrings(value("alluxio.master.persistence.blacklist").unwrap_or_default()),
            mounts: self.mounts().await?,
            awaits_command: value("alluxio.user.file.persistence.initial.wait.time")
                .is_some_and(|time| time.starts_with('-')),
            stalled: false,
        })
    }

    /// `Done` means accepted: the job service writes it later, or never where the path is blacklisted.
    ///
    /// To be asked once: asked again while it is being written, the master throws away what is there and begins
    /// anew, and a file that is persisted already is written a second time.
    async fn persist(&self, path: &str) -> Result<Changed> {
        let answer = self
            .file_system(async |mut client, session| {
                let request = ScheduleAsyncPersistencePRequest {
                    path: Some(path.to_owned()),
                    options: Some(ScheduleAsyncPersistencePOptions {
                        common_options: Some(as_it_is()),
                        persistence_wait_time: Some(0),
                    }),
                };
                client.schedule_async_persistence(session.request(request)).await
            })
            .await;
        match answer {
            Ok(_) => Ok(Changed::Done),
            Err(failure) if failure.is(Code::NotFound, "") => Ok(Changed::Gone),
            Err(failure) if failure.is(Code::InvalidArgument, "Cannot persist an incomplete") => {
                Ok(Changed::Conflict)
            }
            Err(failure) => Err(self.error(failure, &format!("persist {path}"))),
        }
    }

    /// A copy is like any other cached block: nothing pins it.
    ///
    /// Two ports of every other worker must be open to the caller: RPC, which takes the wish, and web, which tells what is
    /// free. Where nothing is, blocks of persisted files are taken off a worker by `RemoveBlock`; `Free` would take the
    /// file's blocks off every worker.
    async fn copy(&self, wish: &CopyWish<'_>, targets: &impl CopyTargets) -> Result<Copied> {
        let Some(file) = self.file(wish.path).await? else {
            return Ok(Copied::Nothing);
        };
        let blocks = Holder::of(wish.from, wish.listed).only_here(&file);
        if blocks.is_empty() {
            return Ok(Copied::Nothing);
        }
        let mut workers = self.targets().await?;
        let asked = self.copies.ask(&blocks, wish, &mut workers, targets).await;
        *self.targets.lock().await = Some(workers);
        asked.map_err(|failure| self.error(failure, &format!("copy {}", wish.path)))
    }

    /// `Gone`: the master knows no such worker. `Conflict`: it is registering just now.
    ///
    /// A lost worker is taken out of service, too. It comes back by itself after
    /// `alluxio.master.lost.worker.deletion.timeout`, and after a restart of it or of the master.
    async fn decommission(&self, worker: &Worker) -> Result<Changed> {
        let answer = self
            .block(async |mut client, session| {
                let request = DecommissionWorkerPOptions {
                    worker_hostname: worker.host.clone(),
                    worker_web_port: Some(worker.web_port.into()),
                    // The address will be another node's one day.
                    can_register_again: Some(true),
                };
                client.decommission_worker(session.request(request)).await
            })
            .await;
        match answer {
            Ok(_) => Ok(Changed::Done),
            Err(failure) if failure.is(Code::NotFound, "unregistered worker") => Ok(Changed::Conflict),
            Err(failure) if failure.is(Code::NotFound, "") => Ok(Changed::Gone),
            Err(failure) => Err(self.error(failure, &format!("decommission worker {}", worker.host))),
        }
    }
}

/// Without a look into the under store first, whatever the cluster's default is.
fn as_it_is() -> FileSystemMasterCommonPOptions {
    FileSystemMasterCommonPOptions {
        sync_interval_ms: Some(-1),
    }
}

/// A list property as the master writes it.
fn substrings(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::*;
    use tidegate_domain::bootstrap::{MasterRole, MasterRoles};
    use tidegate_domain::ports::MasterPlace;

    /// A cluster that answers lookups one after the other.
    struct Places(RefCell<VecDeque<Result<Vec<MasterPlace>>>>);

    impl MasterPlaces for Places {
        async fn master_places(&self, namespace: &str) -> Result<Vec<MasterPlace>> {
            assert_eq!(namespace, "cache");
            self.0.borrow_mut().pop_front().expect("no more lookups")
        }
    }

    fn in_cluster(lookups: impl IntoIterator<Item = Result<Vec<MasterPlace>>>) -> AlluxioMaster {
        let places = Places(RefCell::new(lookups.into_iter().collect()));
        AlluxioMaster::in_cluster(places, "cache".into(), Login::NoSasl)
    }

    /// Where nobody listens.
    fn place(port: u16) -> MasterPlace {
        MasterPlace {
            address: format!("127.0.0.1:{port}"),
            ..MasterPlace::default()
        }
    }

    fn masters(masters: &[&str]) -> Result<AlluxioMaster> {
        AlluxioMaster::new(masters.iter().map(ToString::to_string).collect(), Login::NoSasl)
    }

    #[test]
    fn masters_that_cannot_be_meant_are_refused_before_anything_is_asked() {
        assert!(masters(&["a:19998", "b:19998"]).is_ok());
        let name = |result: Result<AlluxioMaster>| result.err().map(|error| error.name);
        assert_eq!(name(masters(&[])), Some(ErrorName::InvalidInput));
        assert_eq!(name(masters(&["a:19998", "b"])), Some(ErrorName::InvalidInput));
    }

    #[tokio::test]
    async fn masters_in_the_cluster_are_looked_up_whenever_the_primary_is_looked_for() {
        let master = in_cluster([Ok(vec![place(1), place(2)]), Ok(vec![place(3)])]);
        for ports in [vec![1, 2], vec![3]] {
            let error = master.worker("10.0.0.7").await.expect_err("nobody listens");
            assert_eq!(error.name, ErrorName::AlluxioUnavailable);
            assert_eq!(error.message.matches(" says ").count(), ports.len(), "{error}");
            for port in ports {
                assert!(
                    error.message.contains(&format!("127.0.0.1:{port} says")),
                    "{error}"
                );
            }
        }
    }

    #[tokio::test]
    async fn no_master_in_the_cluster_is_not_yet_and_names_the_service() {
        let error = in_cluster([Ok(vec![])])
            .worker("10.0.0.7")
            .await
            .expect_err("none");
        assert_eq!(error.name, ErrorName::AlluxioUnavailable);
        assert_eq!(
            error.message,
            "no Alluxio master runs in the cluster: service cache/alluxio-master has no address"
        );
    }

    #[tokio::test]
    async fn a_lookup_that_fails_keeps_its_own_error() {
        let away = Error::new(ErrorName::KubernetesUnavailable, "list endpointslices: no answer");
        let master = in_cluster([Err(away.clone())]);
        assert_eq!(master.worker("10.0.0.7").await, Err(away));
    }

    #[tokio::test]
    async fn what_is_no_address_is_named() {
        let odd = MasterPlace {
            address: "nowhere".into(),
            ..MasterPlace::default()
        };
        let error = in_cluster([Ok(vec![odd])])
            .worker("10.0.0.7")
            .await
            .expect_err("odd");
        assert_eq!(error.name, ErrorName::AlluxioUnavailable);
        assert!(error.message.contains("nowhere says"), "{error}");
    }

    #[tokio::test]
    async fn a_master_that_does_not_answer_is_silent() {
        let roles = in_cluster([Ok(vec![place(1)])]).master_roles().await;
        let roles = roles.expect("asked");
        assert_eq!(roles.get("127.0.0.1:1"), Some(&MasterRole::Silent));
    }

    #[test]
    fn a_blacklist_is_a_list_of_substrings_without_empty_ones() {
        assert_eq!(
            substrings(".staging,_temporary, .tmp"),
            [".staging", "_temporary", ".tmp"]
        );
        assert!(substrings("").is_empty() && substrings(" , ").is_empty());
    }
}
