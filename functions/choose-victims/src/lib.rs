//! Chooses which instances a group ends when it has too many: those whose loss costs the cache least.
//!
//! Auto Scaling calls it as the group's custom termination policy, waits two seconds, and ends nothing as long as it gets
//! no answer. So whatever cannot be seen in time has no say, and only a payload that nobody can read is an error.

use std::cell::OnceCell;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tidegate_domain::cache::Worker;
use tidegate_domain::error::Result;
use tidegate_domain::node::Node;
use tidegate_domain::outcome::{Answer, ChooseOutcome};
use tidegate_domain::ports::WorkerReport;
use tidegate_domain::subject::InstanceId;
use tidegate_domain::victims::{CandidateNodes, Request, choose};
use tidegate_lambda::{Call, Reply, Serve};
use tokio::time::{Instant, timeout_at};

/// How long nodes and workers are looked for, both at once, the masters' addresses before the workers. With what the choice itself takes the answer is there within
/// a second: half of what Auto Scaling allows, for the way there and back.
const SIGHT: Duration = Duration::from_millis(800);
/// How long the first connection may take while the process starts, which Lambda does not count as the call's time. It
/// gives a process ten seconds to start.
const WARM_UP: Duration = Duration::from_secs(5);

/// The function.
pub struct ChooseVictims<Connect, Cluster, Master> {
    connect: Connect,
    connected: OnceCell<(Cluster, Master)>,
}

/// What was seen and chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Who goes.
    pub instance_ids: Vec<InstanceId>,
    /// Why the nodes could not be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_unseen: Option<String>,
    /// Why the workers could not be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers_unseen: Option<String>,
}

impl<Connect, Cluster, Master> ChooseVictims<Connect, Cluster, Master>
where
    Connect: AsyncFn() -> Result<(Cluster, Master)>,
    Cluster: CandidateNodes,
    Master: WorkerReport,
{
    /// The function, connected to nothing yet: a cluster that cannot be reached must not keep the group from its own
    /// choice.
    pub const fn new(connect: Connect) -> Self {
        Self {
            connect,
            connected: OnceCell::new(),
        }
    }

    /// Connects to the cluster and the masters, if that can be done; else each call tries.
    pub async fn warm_up(&self) {
        let look = async {
            let (_, master) = self.connected().await?;
            master.every_worker().await
        };
        if let Err(why) = seen(Instant::now(), WARM_UP, look).await {
            tracing::warn!(why, "the cluster or its cache cannot be seen yet");
        }
    }

    async fn connected(&self) -> Result<&(Cluster, Master)> {
        if let Some(connected) = self.connected.get() {
            return Ok(connected);
        }
        let connected = Box::pin((self.connect)()).await?;
        Ok(self.connected.get_or_init(|| connected))
    }

    async fn look(&self, request: &Request) -> (Seen<Vec<Node>>, Seen<Vec<Worker>>) {
        let began = Instant::now();
        match seen(began, SIGHT, self.connected()).await {
            Ok((cluster, master)) => tokio::join!(
                seen(began, SIGHT, cluster.candidate_nodes(request)),
                seen(began, SIGHT, master.every_worker())
            ),
            Err(why) => (Err(why.clone()), Err(why)),
        }
    }

    async fn answer(&self, request: &Request) -> Answer<ChooseOutcome, Facts> {
        let (nodes, workers) = self.look(request).await;
        let choice = choose(request, nodes.as_deref().ok(), workers.as_deref().ok());
        let facts = Facts {
            instance_ids: choice.instances,
            nodes_unseen: nodes.err(),
            workers_unseen: workers.err(),
        };
        Answer::new(choice.outcome, choice.reason, facts)
    }
}

/// What was seen in time, or why it was not.
type Seen<T> = std::result::Result<T, String>;

async fn seen<T>(began: Instant, within: Duration, look: impl Future<Output = Result<T>>) -> Seen<T> {
    match timeout_at(began + within, look).await {
        Ok(Ok(seen)) => Ok(seen),
        Ok(Err(error)) => Err(error.message),
        Err(_) => Err(format!("no answer within {} ms", within.as_millis())),
    }
}

impl<Connect, Cluster, Master> Serve for ChooseVictims<Connect, Cluster, Master>
where
    Connect: AsyncFn() -> Result<(Cluster, Master)>,
    Cluster: CandidateNodes,
    Master: WorkerReport,
{
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let request: Request = Call::read(&payload)?;
        let mut reply = Reply::of(&self.answer(&request).await)?;
        reply.group = Some(request.auto_scaling_group_name);
        Ok(reply)
    }

    /// Auto Scaling reads this field and documents no other.
    fn sent(&self, answer: Value) -> Value {
        json!({ "InstanceIDs": answer["instanceIds"] })
    }
}
