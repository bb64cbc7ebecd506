//! The last moment before an instance is taken away: what is still only here is lost, and said so; the worker goes out of
//! service, so that its clients read on from the under store and do not wait for one that is gone.

use jiff::Timestamp;
use tidegate_domain::cache::{Unsaved, Worker};
use tidegate_domain::error::Result;
use tidegate_domain::node::Node;
use tidegate_domain::outcome::DrainOutcome;
use tidegate_domain::ports::{
    CacheMaster, CacheWorker, Changed, Clock, CopyTargets, Nodes, Pods, WorkerReport,
};

use super::{DrainCache, Facts, Session, Step, broken_before};

impl Session {
    /// Whether the last moment has come.
    pub(super) fn time_to_leave(&self, now: Timestamp) -> bool {
        self.reclaimed && !self.leaving && now >= self.leaves_at()
    }

    /// Nothing is saved any more; what is left to do has until the deadline.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
        self.ends = self.call.frame.deadline;
        self.progress.pass = None;
    }
}

impl Facts {
    pub(super) fn lost(&mut self, unsaved: Unsaved) {
        self.looked = true;
        self.files_left = unsaved.files;
        self.bytes_left = unsaved.bytes;
        // They are all in the list, as far as there is room.
        self.named_files.clear();
        let (listed, more) = unsaved.list();
        self.unsaved_files = listed;
        self.more_unsaved_files = (more > 0).then_some(more);
    }
}

impl<Cluster, Master, Workers, C> DrainCache<Cluster, Master, Workers, C>
where
    Cluster: CopyTargets + Nodes + Pods,
    Master: CacheMaster + WorkerReport,
    Workers: CacheWorker,
    C: Clock,
{
    /// Takes a worker out of service that may still hold what exists nowhere else. Only here: once it is out of service
    /// nothing of that can be saved any more.
    pub(super) async fn leave(
        &self,
        session: &mut Session,
        node: Option<&Node>,
        worker: &Worker,
    ) -> Result<Step> {
        let (unsaved, broken, complete) = self.unsaved(session, worker).await?;
        session.facts.found_broken(&broken);
        if self.master.decommission(worker).await? != Changed::Done {
            return Ok(Step::NotYet(format!(
                "worker {} is just registering",
                worker.host
            )));
        }
        session.progress.decommissioned();
        if unsaved.files == 0 && complete {
            // The look that counts comes after it.
            return self.note_decommission(session, node).await;
        }
        Ok(lost(session, worker, unsaved, complete))
    }

    /// What a worker out of service still holds. Its clients have had what time there was.
    pub(super) async fn last_look(&self, session: &mut Session, worker: &Worker) -> Result<Step> {
        let (unsaved, broken, complete) = self.unsaved(session, worker).await?;
        session.facts.found_broken(&broken);
        if unsaved.files > 0 || !complete {
            return Ok(lost(session, worker, unsaved, complete));
        }
        session.facts.lost(unsaved);
        session.facts.idle_limit_reached = true;
        let reason = format!(
            "nothing on worker {} is the only copy, and it is out of service; the instance is taken away before all its \
             clients can know{}",
            worker.host,
            broken_before(&broken)
        );
        Ok(Step::Done(DrainOutcome::Drained, reason))
    }
}

fn lost(session: &mut Session, worker: &Worker, unsaved: Unsaved, complete: bool) -> Step {
    let seen = if complete {
        ""
    } else {
        ", as far as could be seen in time"
    };
    let reason = format!(
        "the instance is taken away at {}, and with worker {} go {} files ({} bytes) that exist nowhere else{seen}",
        session.call.frame.deadline, worker.host, unsaved.files, unsaved.bytes
    );
    session.facts.lost(unsaved);
    Step::Done(DrainOutcome::Incomplete, reason)
}
