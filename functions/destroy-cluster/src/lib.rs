//! Takes a cluster away: says what would be lost, has every cache written to the under store and taken out of service,
//! removes hooks, workloads and volumes, and proves in the end that nothing is left.
//!
//! What is there decides how far a call goes; `progress` only saves looking again, and counts. So an execution that was cut
//! off anywhere is started again and comes to the same end.

mod caches;
mod looking;
mod plan;
mod proving;
mod quiet;
mod removing;

pub use plan::Foresight;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_domain::api_server::ApiServer;
use tidegate_domain::bootstrap::{KnownClusters, Objects};
use tidegate_domain::cache::{IdleWait, Losses, Stores, Totals, WorkerLoad, lighten};
use tidegate_domain::destroy::{GroupHooks, OwnExecutions, Progress, Remains, Request, StackSeen, Teardown};
use tidegate_domain::drift::{GroupsView, Scope};
use tidegate_domain::error::Result;
use tidegate_domain::outcome::{Answer, DestroyOutcome};
use tidegate_domain::ports::{CacheMaster, CacheWorker, Clock, WorkerReport};
use tidegate_lambda::{Call, Reply, Serve};

/// Between two looks at something that is waited for.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// Seconds until what takes its time is looked at again.
const AGAIN_SECONDS: u32 = 5;
/// With what cannot be saved given up, so much longer is waited for the rest.
const OVERTIME: SignedDuration = SignedDuration::from_mins(30);

/// Whom the function talks to.
pub trait Neighbours {
    /// EKS.
    type Eks: KnownClusters;
    /// The cluster's API server.
    type Cluster: Objects + Teardown;
    /// Auto Scaling.
    type Groups: GroupsView + GroupHooks;
    /// The executions of the other state machines.
    type Executions: OwnExecutions;
    /// EC2.
    type Ec2: Remains;
    /// The Alluxio masters.
    type Master: CacheMaster + WorkerReport;
    /// The workers.
    type Workers: CacheWorker;
    /// Time.
    type Clock: Clock;
}

/// Connects to the API server that EKS names.
pub type Connect<Cluster> = Box<dyn Fn(&ApiServer) -> Result<Cluster>>;

/// The function.
pub struct DestroyCluster<N: Neighbours> {
    /// EKS.
    pub eks: N::Eks,
    /// The way to the cluster.
    pub connect: Connect<N::Cluster>,
    /// Auto Scaling.
    pub groups: N::Groups,
    /// The executions of the other state machines.
    pub executions: N::Executions,
    /// EC2.
    pub ec2: N::Ec2,
    /// The Alluxio masters.
    pub master: N::Master,
    /// The workers.
    pub workers: N::Workers,
    /// Time.
    pub clock: N::Clock,
    /// What is ours.
    pub scope: Scope,
    /// The groups that are looked after.
    pub group_names: Vec<String>,
    /// The cluster's name.
    pub cluster_name: String,
    /// The cluster's stack; none where the cluster is somebody else's and stays.
    pub stack_name: Option<String>,
    /// How long a call works before it answers where it stands.
    pub watch_seconds: u32,
    /// How long all of it may take but for the cluster's stack.
    pub limit_seconds: u32,
    /// The wait for the workers' clients.
    pub idle_wait: IdleWait,
}

/// How far the state machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Nothing has been touched.
    Plan,
    /// The plan has been told, the rules are quiet.
    Empty,
    /// The cluster's stack is gone, or there is none.
    Prove,
}

/// The call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestroyCall {
    /// The execution's input.
    pub input: Value,
    /// When the execution began.
    pub started_at: Timestamp,
    /// How far it is.
    pub stage: Stage,
    /// The cluster's stack, where it has one.
    #[serde(default)]
    pub stack: Option<StackSeen>,
    /// What the last call left.
    #[serde(default)]
    pub progress: Progress,
}

/// What was seen and done.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// What the next call is handed.
    pub progress: Progress,
    /// What would be done, and what would be lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Foresight>,
    /// What the execution has saved so far.
    #[serde(flatten)]
    pub saved: Totals,
    /// Files that are lost.
    pub files_lost: u64,
    /// Their bytes.
    pub bytes_lost: u64,
    /// The largest of them.
    pub lost_files: Vec<String>,
    /// So many more are lost.
    pub more_lost_files: u64,
    /// Files that were broken before: some of their blocks were on no worker and in no under store.
    pub files_broken: u64,
    /// The largest of them.
    pub broken_files: Vec<String>,
    /// So many more were.
    pub more_broken_files: u64,
    /// Caches of which it is not known what they held.
    pub unseen_caches: Vec<String>,
    /// What was changed in this call.
    pub changed: Vec<String>,
    /// What is somebody else's and stays.
    pub foreign: Vec<String>,
    /// What is left and should not be.
    pub left: Vec<String>,
}

impl Facts {
    fn tell_losses(&mut self, lost: &Losses, broken: &Losses, unseen: &[String]) {
        self.files_broken = broken.files;
        self.broken_files = broken.lines();
        self.more_broken_files = broken.more();
        self.files_lost = lost.files;
        self.bytes_lost = lost.bytes;
        self.lost_files = lost.lines();
        self.more_lost_files = lost.more();
        self.unseen_caches = unseen.to_vec();
    }
}

pub(crate) type Answered = Answer<DestroyOutcome, Facts>;

/// What a step came to.
pub(crate) enum Step {
    /// It is done.
    Done,
    /// It goes on at once.
    Onward,
    /// It waits for something.
    NotYet(String),
    /// It cannot be done.
    Stop(String),
}

/// One call's way.
pub(crate) struct Session {
    pub(crate) request: Request,
    pub(crate) stack: Option<StackSeen>,
    pub(crate) progress: Progress,
    pub(crate) facts: Facts,
    /// No step is begun after that.
    pub(crate) ends: Timestamp,
    /// Losses are accepted, and the time for saving is over.
    pub(crate) gives_up: bool,
    /// What the record of the manifests names.
    pub(crate) recorded: Vec<String>,
    /// The masters are ours, and go too.
    pub(crate) masters_go: bool,
    /// What Alluxio writes to its under stores.
    pub(crate) stores: Option<Stores>,
    /// How idle the workers out of service looked, newest last.
    pub(crate) looks: BTreeMap<String, Vec<Option<WorkerLoad>>>,
    /// Their files have been looked through in this call.
    pub(crate) looked_again: bool,
}

impl<N: Neighbours> DestroyCluster<N> {
    async fn answer(&self, call: DestroyCall) -> Result<Answered> {
        let request = Request::read(&call.input, &self.cluster_name)?;
        let now = self.clock.now();
        let limit = SignedDuration::from_secs(self.limit_seconds.into());
        let mut session = Session {
            gives_up: request.accept_data_loss && now.duration_since(call.started_at) >= limit,
            request,
            stack: call.stack,
            progress: call.progress,
            facts: Facts::default(),
            ends: now + Duration::from_secs(self.watch_seconds.into()),
            recorded: Vec::new(),
            masters_go: false,
            stores: None,
            looks: BTreeMap::new(),
            looked_again: false,
        };
        let stage = call.stage;
        let (outcome, reason) = match stage {
            Stage::Plan => self.plan(&mut session).await?,
            Stage::Empty => self.empty(&mut session).await?,
            Stage::Prove => self.prove(&mut session).await?,
        };
        let Session {
            mut progress,
            mut facts,
            ..
        } = session;
        lighten(&mut progress.pending);
        facts.saved = progress.saved;
        facts.tell_losses(&progress.lost, &progress.broken, &progress.unseen);
        facts.progress = progress;
        if outcome != DestroyOutcome::Waiting {
            return Ok(Answer::new(outcome, reason, facts));
        }
        let over = limit
            + if request.accept_data_loss {
                OVERTIME
            } else {
                SignedDuration::ZERO
            };
        // What is left in the end has a time of its own: deleting a stack may take as long as everything before.
        if stage != Stage::Prove && self.clock.now().duration_since(call.started_at) >= over {
            let reason = format!("not done within {} s: {reason}", self.limit_seconds);
            return Ok(Answer::new(DestroyOutcome::Incomplete, reason, facts));
        }
        // A look that goes on loses time by waiting.
        let again = if facts.progress.round.is_some() {
            1
        } else {
            AGAIN_SECONDS
        };
        Ok(Answer::again(outcome, reason, again, facts))
    }

    /// The cluster; none where there is none any more, and why not where it cannot be connected to.
    pub(crate) async fn cluster(&self) -> Result<std::result::Result<Option<N::Cluster>, String>> {
        let name = &self.cluster_name;
        Ok(match self.eks.cluster().await? {
            None => Ok(None),
            Some(known) => match (known.status.as_str(), &known.api_server) {
                ("ACTIVE" | "UPDATING", Some(api_server)) => Ok(Some((self.connect)(api_server)?)),
                (status, _) => Err(format!("cluster {name} is {status}")),
            },
        })
    }

    /// Everything up to the cluster's stack, one after the other.
    async fn empty(&self, session: &mut Session) -> Result<(DestroyOutcome, String)> {
        let cluster = match self.cluster().await? {
            Ok(Some(cluster)) => cluster,
            Ok(None) => return Ok((DestroyOutcome::Emptied, self.no_cluster())),
            Err(why) => return Ok((DestroyOutcome::Waiting, why)),
        };
        let ours = match self.quiet(session, &cluster).await? {
            Ok(ours) => ours,
            Err(waits) => return Ok((DestroyOutcome::Waiting, waits)),
        };
        let mut step = self.save_caches(session, &cluster).await?;
        if matches!(step, Step::Done) {
            self.remove_hooks(session).await?;
            step = self.remove_objects(session, &cluster, ours).await?;
        }
        if matches!(step, Step::Done) && self.stack_name.is_none() {
            step = self.release_nodes(session, &cluster).await?;
        }
        Ok(match step {
            Step::Done => {
                if self.stack_name.is_none() {
                    self.wake_autoscalers(session, &cluster).await?;
                }
                let stays = match session.facts.foreign.len() {
                    0 => String::new(),
                    count => format!(
                        "; {count} objects of others stay, such as {}",
                        session.facts.foreign[0]
                    ),
                };
                let reason = format!("nothing of ours is left in cluster {}{stays}", self.cluster_name);
                (DestroyOutcome::Emptied, reason)
            }
            Step::Onward => (
                DestroyOutcome::Waiting,
                "the call's time is up, the work goes on in the next".to_owned(),
            ),
            Step::NotYet(reason) => (DestroyOutcome::Waiting, reason),
            Step::Stop(reason) => (DestroyOutcome::Incomplete, reason),
        })
    }

    pub(crate) fn no_cluster(&self) -> String {
        format!("there is no cluster {} any more", self.cluster_name)
    }
}

impl<N: Neighbours> Serve for DestroyCluster<N> {
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let call: DestroyCall = Call::read(&payload)?;
        // Each future around another makes the compiler look one level deeper; a box ends that.
        let answer = Box::pin(self.answer(call)).await?;
        Ok(Reply::of(&answer)?.of_cluster(&self.cluster_name))
    }
}
