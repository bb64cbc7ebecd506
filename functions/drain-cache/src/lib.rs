//! Saves every byte whose only copy is on the worker, then decommissions it.

#[cfg(test)]
mod broken_files;
mod copying;
mod ending;
#[cfg(test)]
mod fake_world;
mod finding;
mod hurry;
mod judging;
mod leaving;
mod plan;
mod saving;

pub use plan::Planned;

use std::cell::OnceCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use finding::LOOKS_FOR_A_WORKER;
use futures::future::{Either, select};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_domain::cache::{
    Idle, IdleWait, Losses, Pass, Phase, Progress, RateMemory, Totals, Worker, WorkerLoad, next_phase,
    proven_empty,
};
use tidegate_domain::claim::taken_over;
use tidegate_domain::deadline::retry_after_seconds;
use tidegate_domain::error::Result;
use tidegate_domain::names;
use tidegate_domain::node::{Node, NodeChange};
use tidegate_domain::outcome::{Answer, DrainOutcome};
use tidegate_domain::ports::{
    CacheMaster, CacheWorker, Changed, Clock, CopyTargets, Nodes, Pods, WorkerReport,
};
use tidegate_domain::resolve::Direction;
use tidegate_lambda::{Call, Reply, Serve, Unit};

use self::ending::Hold;

/// A worker of an instance that EC2 shuts down answers as long as its machine has not stopped, and is asked again for so long.
const SILENCE_OF_AN_END: SignedDuration = SignedDuration::from_secs(5);
/// Between two looks at the world.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// So long after the time for which it watches a call begins nothing that it could leave.
const TO_END: Duration = Duration::from_secs(6);
/// And so long after it, whatever it is doing is left. A function has 30 s and watches for 20: what one that is cut off
/// has learned is lost.
const TO_LEAVE_OFF: Duration = Duration::from_secs(8);

/// The function.
pub struct DrainCache<Cluster, Master, Workers, C> {
    /// The cluster's nodes and pods.
    pub cluster: Cluster,
    /// The Alluxio master.
    pub master: Master,
    /// Its workers.
    pub workers: Workers,
    /// Time.
    pub clock: C,
    /// How long a call works before it answers where it stands.
    pub watch_seconds: u32,
    /// Where the workers run.
    pub namespace: String,
    /// The wait for the worker's clients.
    pub idle_wait: IdleWait,
}

/// The call: what the last one learned comes with it, if there was one.
#[derive(Clone, Debug, Deserialize)]
pub struct DrainCall {
    #[serde(flatten)]
    call: Call,
    #[serde(default)]
    progress: Option<Progress>,
    /// EC2 takes the instance away at the deadline, whatever it is told (a Spot interruption).
    #[serde(default)]
    reclaimed: bool,
    /// The terminate hook waits no longer, so that nothing holds the instance: only a last look is taken.
    #[serde(default, rename = "hookOver")]
    hook_over: bool,
}

/// What was seen and done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The worker's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Files that still need something before the worker may go, as the last pass through all files saw them, in
    /// this call or in an earlier one.
    pub files_left: u64,
    /// Their bytes.
    pub bytes_left: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named_files: Vec<String>,
    /// The files that could not be saved, the largest first, as many as there is room for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unsaved_files: Vec<String>,
    /// So many more could not be saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_unsaved_files: Option<u64>,
    /// Files that were broken before this drain, the largest first, as many as there is room for: some of their blocks are
    /// on no worker in service and in no under store.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub broken_files: Vec<String>,
    /// So many more were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_broken_files: Option<u64>,
    /// Where there is no worker: the node itself shows that its worker held nothing unsaved.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proven_empty: bool,
    /// The worker never looked idle, and went after its limit.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub idle_limit_reached: bool,
    /// What the execution has saved so far.
    #[serde(flatten)]
    pub totals: Totals,
    /// For the next call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// All files have been looked through in this call.
    #[serde(skip)]
    pub looked: bool,
}

impl Facts {
    fn saw(&mut self, pass: &Pass) {
        self.looked = true;
        self.files_left = pass.unsafe_files;
        self.bytes_left = pass.unsafe_bytes;
        self.named_files.clone_from(&pass.named);
        self.found_broken(&pass.broken);
    }

    fn found_broken(&mut self, broken: &Losses) {
        self.broken_files = broken.lines();
        let more = broken.more();
        self.more_broken_files = (more > 0).then_some(more);
    }
}

/// What a step of the drain came to.
enum Step {
    /// It has come to its end.
    Done(DrainOutcome, String),
    /// It goes on at once.
    Onward,
    /// It waits for something.
    NotYet(String),
    /// All is as it was at the last look: the next one may wait, the longer the older the drain is.
    Unchanged(String),
}

/// One call's way through the drain.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is told or seen apart from the others"
)]
struct Session {
    call: Call,
    progress: Progress,
    /// The instance is taken away at the deadline.
    reclaimed: bool,
    /// It is the last moment before that.
    leaving: bool,
    /// Whether something holds the instance.
    hold: Hold,
    facts: Facts,
    /// How idle the worker looked, newest last.
    looks: Vec<Option<WorkerLoad>>,
    /// Its files have been looked through in this call since it went out of service.
    looked_again: bool,
    /// Why no other worker takes copies.
    without_target: Option<String>,
    /// Whether another worker out of service answers; empty before this call has asked.
    others_answer: Rc<OnceCell<bool>>,
    /// Whether Alluxio persists what clients write on a command only.
    awaits_command: bool,
    /// This call has looked for the Node object everywhere, and there is none.
    nodeless: bool,
    /// Looks of this call that found no worker.
    absences: u32,
    /// When this call first found the worker silent.
    silent_since: Option<Timestamp>,
    /// When the call answers.
    ends: Timestamp,
    /// When it begins nothing more: what is under way at its end goes on to here.
    closes: Timestamp,
}

impl Session {
    /// What a call that ends within a pass says of it.
    fn under_way_still(&mut self) -> String {
        let Some(pass) = &self.progress.pass else {
            return "the call's time is up, the work goes on in the next".to_owned();
        };
        self.facts.saw(pass);
        format!(
            "{} of {} files have been looked at, {} of them ({} bytes) are not safe yet",
            pass.offset, pass.total, pass.unsafe_files, pass.unsafe_bytes
        )
    }
}

impl<Cluster, Master, Workers, C> DrainCache<Cluster, Master, Workers, C>
where
    Cluster: CopyTargets + Nodes + Pods,
    Master: CacheMaster + WorkerReport,
    Workers: CacheWorker,
    C: Clock,
{
    async fn answer(&self, session: &mut Session) -> Result<(DrainOutcome, String)> {
        loop {
            if session.time_to_leave(self.clock.now()) {
                session.leave();
            }
            let (reason, unchanged) = match self.step(session).await? {
                Step::Done(outcome, reason) => return Ok((outcome, reason)),
                Step::Onward => {
                    // Each step ends within the call's time; one that goes on is looked at anew.
                    if session.leaving || self.clock.now() < session.ends {
                        continue;
                    }
                    (session.under_way_still(), false)
                }
                Step::NotYet(reason) => (reason, false),
                Step::Unchanged(reason) => (reason, true),
            };
            if session.hold == Hold::Over {
                return Ok((DrainOutcome::Incomplete, reason));
            }
            let now = self.clock.now();
            if session.time_to_leave(now) {
                continue;
            }
            if session.call.frame.expired(now) {
                return Ok((DrainOutcome::Incomplete, format!("time is up: {reason}")));
            }
            let pause = if unchanged {
                Duration::from_secs(self.patience(session, now).into())
            } else {
                BETWEEN_LOOKS
            };
            if now >= session.ends || unchanged && now + pause >= session.ends {
                return Ok((DrainOutcome::Waiting, reason));
            }
            self.clock.sleep(pause).await;
        }
    }

    /// Seconds to wait where nothing hurries.
    fn patience(&self, session: &Session, now: Timestamp) -> u32 {
        let call = &session.call;
        retry_after_seconds(&call.frame, now, call.node.hook.as_ref(), self.watch_seconds)
    }

    /// The answer, or that the call's time is up, whatever it waits for.
    async fn answer_in_time(&self, session: &mut Session, limit: Duration) -> Result<(DrainOutcome, String)> {
        let answered = {
            let answer = pin!(self.answer(session));
            let late = pin!(self.clock.sleep(limit));
            match select(answer, late).await {
                Either::Left((answer, _)) => Some(answer),
                Either::Right(_) => None,
            }
        };
        answered.unwrap_or_else(|| {
            let outcome = if session.call.frame.expired(self.clock.now()) {
                DrainOutcome::Incomplete
            } else {
                DrainOutcome::Waiting
            };
            Ok((outcome, session.under_way_still()))
        })
    }

    async fn step(&self, session: &mut Session) -> Result<Step> {
        let node = self.node(session).await?;
        let node = node.as_ref();
        if let Some(node) = node
            && let Some(reason) = taken_over(node, &session.call.execution, Direction::Drain)
        {
            return Ok(Step::Done(DrainOutcome::Superseded, reason));
        }
        let subject = session.call.node.clone();
        let sighting = self.sight(&subject, node).await?;
        let seen = sighting.workers.first().map(|seen| seen.worker.host.clone());
        session.facts.host = seen.or_else(|| sighting.addresses().into_iter().next());
        match next_phase(&sighting) {
            Phase::Absent(reason) => Ok(self.absent(session, node, reason)),
            Phase::AwaitWorker(reason) => Ok(Step::NotYet(reason)),
            Phase::Save(worker) | Phase::LookAgain(worker) if session.hold == Hold::Over => {
                self.look_at_the_end(session, &worker).await
            }
            Phase::Save(worker) if session.leaving => self.leave(session, node, &worker).await,
            Phase::Save(worker) => self.save(session, node, &worker).await,
            Phase::LookAgain(worker) if session.leaving => self.last_look(session, &worker).await,
            Phase::LookAgain(worker) => self.look_again(session, node, &worker).await,
        }
    }

    /// There is no worker, as far as one look tells.
    fn absent(&self, session: &mut Session, node: Option<&Node>, reason: String) -> Step {
        session.absences += 1;
        let doubtful = node.is_none() && !session.call.node.ends() && session.hold != Hold::Over;
        if doubtful && session.absences < LOOKS_FOR_A_WORKER && self.clock.now() < session.ends {
            return Step::NotYet(reason);
        }
        session.facts.proven_empty = proven_empty(node);
        Step::Done(DrainOutcome::Absent, reason)
    }

    /// The worker does not answer. What EC2 is shutting down does not come back, and its pods stand for a minute longer.
    fn silent(&self, session: &mut Session, worker: &Worker) -> Step {
        let silent = format!("worker {} does not tell its files", worker.host);
        let (subject, now) = (&session.call.node, self.clock.now());
        let since = *session.silent_since.get_or_insert(now);
        let state = subject.identity.instance_state.as_deref();
        if state != Some("shutting-down") || now.duration_since(since) < SILENCE_OF_AN_END {
            return Step::NotYet(silent);
        }
        let id = &subject.instance_id;
        let reason = format!("EC2 is shutting instance {id} down, and {silent} any more");
        Step::Done(DrainOutcome::Absent, reason)
    }

    /// The worker is in service: a pass, and after the second clean one in a row it goes out of service.
    async fn save(&self, session: &mut Session, node: Option<&Node>, worker: &Worker) -> Result<Step> {
        session.looks.clear();
        session.looked_again = false;
        // It registered again. The wait for clients must count from its next decommission.
        session.progress.decommissioned_at = None;
        if let Some(node) = node.filter(|node| node.decommissioned_at().is_some()) {
            let forget = [(names::DECOMMISSIONED_AT_ANNOTATION, None)].into();
            return self
                .annotate(
                    node,
                    NodeChange {
                        annotations: forget,
                        ..NodeChange::default()
                    },
                )
                .await;
        }
        let pass = match self.pass(session, worker).await? {
            saving::Passed::Whole(pass) => pass,
            saving::Passed::Part => return Ok(Step::Onward),
            saving::Passed::Silent => return Ok(self.silent(session, worker)),
        };
        session.facts.saw(&pass);
        let changed = session.progress.ended(&pass, self.clock.now());
        if !session.progress.passed(&pass) {
            return Ok(if pass.clean() && pass.unnamed_files == 0 {
                Step::Onward
            } else if changed {
                Step::NotYet(unsafe_files(&pass, worker))
            } else {
                Step::Unchanged(unsafe_files(&pass, worker))
            });
        }
        if let Some(reason) = self.twin(worker).await? {
            return Ok(Step::NotYet(reason));
        }
        if self.master.decommission(worker).await? != Changed::Done {
            return Ok(Step::NotYet(format!(
                "worker {} is just registering",
                worker.host
            )));
        }
        session.progress.decommissioned();
        self.note_decommission(session, node).await
    }

    /// The worker is out of service, and may still have been written to: a look at what it holds, the wait for its
    /// clients, and then the look that counts.
    async fn look_again(&self, session: &mut Session, node: Option<&Node>, worker: &Worker) -> Result<Step> {
        let noted = node.and_then(Node::decommissioned_at);
        let Some(decommissioned_at) = noted.or(session.progress.decommissioned_at) else {
            return self.note_decommission(session, node).await;
        };
        if session.progress.pass.is_none() {
            session.looks.push(self.workers.load(worker).await?);
            let wait = if session.reclaimed {
                self.idle_wait.until(decommissioned_at, session.leaves_at())
            } else {
                self.idle_wait
            };
            let idle = wait.judge(decommissioned_at, &session.looks, self.clock.now());
            if idle == Idle::NotYet && session.looked_again {
                return Ok(Step::NotYet(format!(
                    "worker {} is out of service, its clients are not done",
                    worker.host
                )));
            }
            session.progress.clients_done = idle != Idle::NotYet;
            session.progress.idle_limit_reached = idle == Idle::LimitReached;
        }
        let pass = match self.pass(session, worker).await? {
            saving::Passed::Whole(pass) => pass,
            saving::Passed::Part => return Ok(Step::Onward),
            saving::Passed::Silent => return Ok(self.silent(session, worker)),
        };
        session.looked_again = true;
        session.facts.saw(&pass);
        let changed = session.progress.ended(&pass, self.clock.now());
        if !pass.clean() {
            let reason = unsafe_files(&pass, worker);
            return Ok(if changed {
                Step::NotYet(reason)
            } else {
                Step::Unchanged(reason)
            });
        }
        if !session.progress.clients_done {
            return Ok(Step::NotYet(format!(
                "worker {} is out of service, its clients are not done",
                worker.host
            )));
        }
        session.facts.idle_limit_reached = session.progress.idle_limit_reached;
        let reason = format!(
            "nothing on worker {} is the only copy, and it is out of service{}{}",
            worker.host,
            only_copied(&pass),
            broken_before(&pass.broken)
        );
        Ok(Step::Done(DrainOutcome::Drained, reason))
    }

    /// Notes when the worker went out of service: on its Node object, so that an execution that takes the drain over knows
    /// it, and for the next call. Without a Node object such an execution counts the wait for clients anew.
    async fn note_decommission(&self, session: &mut Session, node: Option<&Node>) -> Result<Step> {
        let now = self.clock.now();
        session.progress.decommissioned_at = Some(now);
        let Some(node) = node else {
            return Ok(Step::Onward);
        };
        let now = [(names::DECOMMISSIONED_AT_ANNOTATION, Some(now.to_string()))].into();
        self.annotate(
            node,
            NodeChange {
                annotations: now,
                ..NodeChange::default()
            },
        )
        .await
    }

    async fn annotate(&self, node: &Node, change: NodeChange) -> Result<Step> {
        Ok(match self.cluster.change(node, &change).await? {
            Changed::Done => Step::Onward,
            Changed::Conflict | Changed::Gone => {
                Step::NotYet(format!("node {} has changed meanwhile", node.name))
            }
        })
    }
}

/// The end of a sentence where files were broken before.
fn broken_before(broken: &Losses) -> String {
    if broken.files == 0 {
        String::new()
    } else {
        format!("; {} were broken before this drain", broken.told())
    }
}

/// The same where files are in no under store.
fn only_copied(pass: &Pass) -> String {
    match pass.copied_files {
        0 => String::new(),
        files => format!("; {files} files are only copied to other workers, as persisting them kept failing"),
    }
}

fn unsafe_files(pass: &Pass, worker: &Worker) -> String {
    let host = &worker.host;
    let unnamed = format!(
        "worker {host} lists {} files without a name: they are deleted, or it cannot ask the master about them",
        pass.unnamed_files
    );
    if pass.clean() {
        return unnamed;
    }
    let such = pass.named.first().map_or("none", String::as_str);
    let files = format!(
        "{} files ({} bytes) on worker {host} are not safe yet, such as {such}",
        pass.unsafe_files, pass.unsafe_bytes
    );
    match pass.unnamed_files {
        0 => files,
        _ => format!("{files}; {unnamed}"),
    }
}

impl<Cluster, Master, Workers, C> Serve for DrainCache<Cluster, Master, Workers, C>
where
    Cluster: CopyTargets + Nodes + Pods + RateMemory,
    Master: CacheMaster + WorkerReport,
    Workers: CacheWorker,
    C: Clock,
{
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let DrainCall {
            call,
            progress,
            reclaimed,
            hook_over,
        } = Call::read(&payload)?;
        if call.plan {
            let answer = self.plan(&call, progress.unwrap_or_default()).await?;
            return Ok(Reply::of(&answer)?.about(&call.node));
        }
        let progress = progress.unwrap_or_default();
        let before = progress.totals;
        let began = self.clock.now();
        let watch = Duration::from_secs(self.watch_seconds.into());
        let mut session = Session {
            reclaimed,
            leaving: false,
            hold: if hook_over { Hold::Over } else { Hold::Lasts },
            without_target: None,
            others_answer: Rc::default(),
            awaits_command: false,
            ends: began + watch,
            closes: began + watch + TO_END,
            facts: Facts::default(),
            looks: Vec::new(),
            looked_again: false,
            nodeless: false,
            absences: 0,
            silent_since: None,
            progress,
            call,
        };
        if reclaimed {
            session.ends = session.ends.min(session.leaves_at());
        }
        let (outcome, reason) = self.answer_in_time(&mut session, watch + TO_LEAVE_OFF).await?;
        let (outcome, reason) = session.conclude(outcome, reason);
        let lost = session.lost_bytes(outcome);
        let now = self.clock.now();
        let patience = self.patience(&session, now);
        let Session {
            call,
            mut progress,
            mut facts,
            reclaimed,
            ..
        } = session;
        let moving = progress.called(before);
        progress.lighten();
        facts.totals = progress.totals;
        if outcome == DrainOutcome::Drained {
            self.remember(&progress).await;
        }
        let saved = |now: u64, before: u64| now.saturating_sub(before);
        let persisted = saved(facts.totals.persisted_bytes, before.persisted_bytes);
        let replicated = saved(facts.totals.replicated_bytes, before.replicated_bytes);
        facts.progress = Some(progress);
        let answer = match outcome {
            // A worker that is being saved loses time by waiting, past the deadline as well where the drain holds on.
            DrainOutcome::Waiting if moving || reclaimed => Answer::again(outcome, reason, 1, facts),
            DrainOutcome::Incomplete if moving && !reclaimed => Answer::again(outcome, reason, 1, facts),
            DrainOutcome::Waiting => Answer::again(outcome, reason, patience, facts),
            _ => Answer::new(outcome, reason, facts),
        };
        let mut reply = Reply::of(&answer)?.about(&call.node);
        if persisted > 0 {
            reply = reply.metric("BytesPersisted", Unit::Bytes, persisted);
        }
        if replicated > 0 {
            reply = reply.metric("BytesReplicated", Unit::Bytes, replicated);
        }
        if let Some(bytes) = lost {
            reply = reply.metric("BytesLost", Unit::Bytes, bytes);
        }
        Ok(reply)
    }
}
