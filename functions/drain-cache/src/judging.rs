//! What is known in a call of the ways to save a file, and the verdicts that follow from it.

use futures::future::join_all;
use tidegate_domain::cache::{
    FileState, Holder, Need, Progress, Stores, Verdict, Worker, WorkerState, judge,
};
use tidegate_domain::error::Result;
use tidegate_domain::ports::{CacheMaster, CacheWorker, WorkerReport};

use super::DrainCache;

/// What Alluxio persists, as it is and where nothing persisted arrives.
pub(super) struct Ways {
    stores: Stores,
    stalled: Stores,
    /// Another worker out of service still answers, and may have blocks that the master locates nowhere: it saves them in
    /// a drain of its own, or registers again.
    others_answer: bool,
}

impl Ways {
    /// Whether Alluxio persists what clients write on a command only.
    pub(super) const fn awaits_command(&self) -> bool {
        self.stores.awaits_command
    }

    /// Judges a file; one whose persisting keeps failing as if there were no under store.
    pub(super) fn judge(
        &self,
        progress: &Progress,
        path: &str,
        state: Option<&FileState>,
        holder: Holder<'_>,
    ) -> Verdict {
        let stores = if progress.gave_way(path) {
            &self.stalled
        } else {
            &self.stores
        };
        let verdict = judge(state, holder, stores);
        Verdict {
            broken: verdict.broken.filter(|_| !self.others_answer),
            ..verdict
        }
    }

    /// Whether a file that needs nothing is in no under store, though Alluxio should write it there.
    pub(super) fn only_copied(&self, state: Option<&FileState>, verdict: &Verdict) -> bool {
        let unpersisted = |state: &&FileState| state.completed && state.length > 0 && !state.persisted;
        let persistable = |state: &FileState| self.stores.refusal(&state.path).is_none();
        verdict.broken.is_none() && state.filter(unpersisted).is_some_and(persistable)
    }

    /// Whether that file is copied only because persisting it keeps failing.
    pub(super) fn instead(&self, progress: &Progress, path: &str, verdict: &Verdict) -> bool {
        let copied = verdict.need == Need::Copy && verdict.broken.is_none();
        copied && progress.gave_way(path) && self.stores.refusal(path).is_none()
    }
}

impl<Cluster, Master, Workers, C> DrainCache<Cluster, Master, Workers, C>
where
    Master: CacheMaster + WorkerReport,
    Workers: CacheWorker,
{
    /// The ways to save files of that worker. Whether others out of service answer is asked once in a call: those that are
    /// dead take seconds not to.
    pub(super) async fn ways(&self, worker: &Worker, others_answer: &mut Option<bool>) -> Result<Ways> {
        let stores = self.master.stores().await?;
        let others_answer = match *others_answer {
            Some(known) => known,
            None => *others_answer.insert(self.others_answer(worker).await?),
        };
        let stalled = Stores {
            stalled: true,
            ..stores.clone()
        };
        Ok(Ways {
            stores,
            stalled,
            others_answer,
        })
    }

    async fn others_answer(&self, worker: &Worker) -> Result<bool> {
        let every = self.master.every_worker().await?;
        let others = every
            .iter()
            .filter(|other| other.host != worker.host && other.state != WorkerState::Live)
            .take(MOST_ASKED);
        for load in join_all(others.map(|other| self.workers.load(other))).await {
            if load?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Workers out of service that are asked at a time. More are hardly drained at once, and the dead among them are forgotten.
const MOST_ASKED: usize = 32;
