//! A connection to one of several servers, the one that serves: found, logged in to, remembered, and renewed when it is
//! lost.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tidegate_domain::error::{Error, ErrorName, Result as Answered};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::error::Failure;
use crate::login::{LoggedIn, Login, log_in};
use crate::proto::version::service_version_client_service_client::ServiceVersionClientServiceClient;
use crate::proto::version::{GetServiceVersionPRequest, ServiceType};

/// For one call on an open connection. A healthy master answers within milliseconds; one in a full collection of a
/// large heap needs seconds.
const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// For looking up where the servers are, for finding the one that serves, and again for the login. What is a packet away
/// answers within milliseconds.
const OPEN_DEADLINE: Duration = Duration::from_secs(3);
/// A connection that was not used for so long is not used again. A function is frozen between two invocations:
/// it cannot have noticed that its connection was dropped on the way, and would find out by a deadline only.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// An unknown host is refused in a header that names every worker twice (address and name, up to 60 bytes): the
/// usual 16 KiB would turn the answer into a protocol error from about 300 workers on.
const HEADER_LIMIT: u32 = 1024 * 1024;

/// What is at the other end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// The primary of several masters.
    Master,
    /// A worker.
    Worker,
}

impl Role {
    /// A service that only a server in that role answers for, and a master only while it is the primary.
    const fn service(self) -> ServiceType {
        match self {
            Self::Master => ServiceType::BlockMasterClientService,
            Self::Worker => ServiceType::BlockWorkerClientService,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Master => "Alluxio master",
            Self::Worker => "Alluxio worker",
        }
    }

    const fn unreachable(self) -> &'static str {
        match self {
            Self::Master => "no Alluxio master answers as primary",
            Self::Worker => "an Alluxio worker does not answer",
        }
    }
}

/// Looks up where the servers are now, as `host:port`.
pub(crate) type Lookup = Box<dyn Fn() -> LocalBoxFuture<'static, Answered<Vec<String>>>>;

/// Where the servers are.
enum Servers {
    /// Where somebody has said.
    Named(Vec<Server>),
    /// Where a lookup finds them, whenever one is looked for: one that was restarted is somewhere else.
    Found(Lookup),
}

/// One of them.
#[derive(Clone)]
struct Server {
    address: String,
    endpoint: Endpoint,
}

impl Server {
    /// The error is the address that is none.
    fn at(address: String) -> Result<Self, String> {
        match endpoint(&address) {
            Some(endpoint) => Ok(Self { address, endpoint }),
            None => Err(address),
        }
    }
}

/// What a server says when it is asked whether it serves.
pub(crate) struct Said {
    /// `host:port`.
    pub(crate) address: String,
    /// A way to it where it serves, or what it said otherwise.
    pub(crate) answer: Result<Channel, Status>,
}

/// A logged-in channel.
pub(crate) struct Session {
    pub(crate) channel: Channel,
    server: String,
    login: LoggedIn,
}

impl Session {
    /// A request that carries the login.
    pub(crate) fn request<M>(&self, message: M) -> Request<M> {
        self.login.request(message)
    }
}

/// When a session was used last. Of the two clocks of a frozen machine either may stand still or jump.
struct LastUse {
    monotonic: Instant,
    wall: SystemTime,
}

impl LastUse {
    fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    fn recent(&self) -> bool {
        self.monotonic.elapsed() < IDLE_LIMIT && self.wall.elapsed().is_ok_and(|elapsed| elapsed < IDLE_LIMIT)
    }
}

/// The way to the one of several servers that serves.
pub(crate) struct Connection {
    role: Role,
    servers: Servers,
    login: Login,
    current: Mutex<Option<(Arc<Session>, LastUse)>>,
}

impl Connection {
    /// Connects nowhere yet. `servers` are `host:port`; the error is the one that is none.
    pub(crate) fn new(role: Role, servers: Vec<String>, login: Login) -> Result<Self, String> {
        let servers = servers.into_iter().map(Server::at).collect::<Result<_, _>>()?;
        Ok(Self::to(role, Servers::Named(servers), login))
    }

    /// Connects nowhere yet. Errors of the lookup arrive unchanged.
    pub(crate) fn found_by(role: Role, lookup: Lookup, login: Login) -> Self {
        Self::to(role, Servers::Found(lookup), login)
    }

    fn to(role: Role, servers: Servers, login: Login) -> Self {
        Self {
            role,
            servers,
            login,
            current: Mutex::new(None),
        }
    }

    /// The user that acts, for messages.
    pub(crate) fn user(&self) -> &str {
        match &self.login {
            Login::Simple { user } => user,
            Login::NoSasl => "nobody",
        }
    }

    /// Makes a call on the server. On a connection that turns out to be lost, or to lead to a master that is not
    /// the primary any more, it is made once more on a new one: every call here may be made twice.
    pub(crate) async fn call<T>(
        &self,
        call: impl AsyncFn(&Session) -> Result<Response<T>, Status>,
    ) -> Result<T, Failure> {
        let (session, reused) = self.session().await?;
        let status = match attempt(&session, &call).await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        if !may_be_the_connection(&status) {
            return Err(Failure::call(&session.server, status));
        }
        self.forget(&session).await;
        // Another deadline on top of one would be too long for the caller.
        if !reused || status.code() == Code::DeadlineExceeded {
            return Err(Failure::call(&session.server, status));
        }
        tracing::debug!(server = session.server, code = ?status.code(), "Alluxio connection is opened again");
        let (session, _) = self.session().await?;
        attempt(&session, &call)
            .await
            .map_err(|status| Failure::call(&session.server, status))
    }

    /// The remembered session, or a new one; and whether it was remembered. Callers at the same time share one.
    async fn session(&self) -> Result<(Arc<Session>, bool), Failure> {
        let mut current = self.current.lock().await;
        if let Some((session, last_use)) = current.as_mut()
            && last_use.recent()
        {
            *last_use = LastUse::now();
            return Ok((Arc::clone(session), true));
        }
        *current = None;
        let session = Arc::new(self.open().await?);
        *current = Some((Arc::clone(&session), LastUse::now()));
        Ok((session, false))
    }

    async fn forget(&self, lost: &Arc<Session>) {
        let mut current = self.current.lock().await;
        if current
            .as_ref()
            .is_some_and(|(session, _)| Arc::ptr_eq(session, lost))
        {
            *current = None;
        }
    }

    async fn open(&self) -> Result<Session, Failure> {
        let (address, channel) = self.serving().await?;
        let server = format!("{} {address}", self.role.word());
        match timeout(OPEN_DEADLINE, log_in(&channel, &self.login)).await {
            Ok(Ok(login)) => Ok(Session {
                channel,
                server,
                login,
            }),
            Ok(Err(status)) => Err(Failure::login(&server, status)),
            Err(_) => Err(Failure::login(&server, too_late("the login", OPEN_DEADLINE))),
        }
    }

    /// The first of the servers that says that it serves.
    async fn serving(&self) -> Result<(String, Channel), Failure> {
        let servers = self.servers().await?;
        let mut asked = self.asked(&servers);
        let mut said = Vec::new();
        while let Some(Said { address, answer }) = asked.next().await {
            match answer {
                Ok(channel) => return Ok((address, channel)),
                Err(status) => said.push((address, status)),
            }
        }
        Err(Failure::Unreachable {
            wanted: self.role.unreachable(),
            said,
        })
    }

    /// What each of the servers says.
    pub(crate) async fn everyone(&self) -> Result<Vec<Said>, Failure> {
        let servers = self.servers().await?;
        Ok(self.asked(&servers).collect().await)
    }

    async fn servers(&self) -> Result<Vec<Server>, Failure> {
        let lookup = match &self.servers {
            Servers::Named(servers) => return Ok(servers.clone()),
            Servers::Found(lookup) => lookup,
        };
        let found = timeout(OPEN_DEADLINE, lookup()).await.unwrap_or_else(|_| {
            let what = format!(
                "{}s: {}",
                self.role.word(),
                too_late("the lookup", OPEN_DEADLINE).message()
            );
            Err(Error::new(ErrorName::AlluxioUnavailable, what))
        });
        let found = found.map_err(Failure::Lookup)?.into_iter();
        found
            .map(Server::at)
            .collect::<Result<_, _>>()
            .map_err(|address| Failure::unreachable(self.role.unreachable(), address))
    }

    /// Asks all servers at once for the version of the service that makes their role. Needs no login.
    fn asked<'a>(&self, servers: &'a [Server]) -> FuturesUnordered<impl Future<Output = Said> + use<'a>> {
        let service_type = Some(self.role.service().into());
        servers
            .iter()
            .map(|Server { address, endpoint }| async move {
                let channel = endpoint.connect_lazy();
                let mut client = ServiceVersionClientServiceClient::new(channel.clone());
                let question = GetServiceVersionPRequest { service_type };
                let answer = timeout(OPEN_DEADLINE, client.get_service_version(question)).await;
                let answer = answer.unwrap_or_else(|_| Err(too_late("the question", OPEN_DEADLINE)));
                Said {
                    address: address.clone(),
                    answer: answer.map(|_| channel),
                }
            })
            .collect()
    }
}

fn endpoint(server: &str) -> Option<Endpoint> {
    let (host, port) = server.rsplit_once(':')?;
    if host.is_empty() || port.parse::<u16>().is_err() {
        return None;
    }
    let endpoint = Endpoint::from_shared(format!("http://{server}")).ok()?;
    Some(
        endpoint
            .connect_timeout(OPEN_DEADLINE)
            .tcp_nodelay(true)
            .http2_max_header_list_size(HEADER_LIMIT),
    )
}

async fn attempt<T>(
    session: &Session,
    call: impl AsyncFn(&Session) -> Result<Response<T>, Status>,
) -> Result<T, Status> {
    let answer = timeout(CALL_DEADLINE, call(session)).await;
    answer
        .unwrap_or_else(|_| Err(too_late("the call", CALL_DEADLINE)))
        .map(Response::into_inner)
}

fn too_late(what: &str, deadline: Duration) -> Status {
    Status::deadline_exceeded(format!("{what} was not answered within {} s", deadline.as_secs()))
}

/// Whether another connection might be answered otherwise. Standbys of 2.9.4 and later serve some services
/// (`alluxio.standby.master.grpc.enabled`) and answer UNIMPLEMENTED for the others; UNAUTHENTICATED is a channel
/// whose login stream is gone.
fn may_be_the_connection(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Unauthenticated
            | Code::Unimplemented
            | Code::Cancelled
            | Code::DeadlineExceeded
    ) || crate::error::is_transport(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_is_a_host_and_a_port() {
        for master in [
            "10.0.0.1:19998",
            "alluxio-master-0.alluxio.svc:19998",
            "[::1]:19998",
        ] {
            assert!(endpoint(master).is_some(), "{master}");
        }
        for other in [
            "",
            "10.0.0.1",
            ":19998",
            "host:",
            "host:port",
            "host:70000",
            "a b:1",
        ] {
            assert!(endpoint(other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn only_what_another_connection_may_answer_otherwise_is_asked_again() {
        for status in [
            Status::unavailable(""),
            Status::unauthenticated(""),
            Status::unimplemented(""),
        ] {
            assert!(may_be_the_connection(&status), "{status:?}");
        }
        for status in [
            Status::not_found(""),
            Status::invalid_argument(""),
            Status::permission_denied(""),
        ] {
            assert!(!may_be_the_connection(&status), "{status:?}");
        }
    }
}
