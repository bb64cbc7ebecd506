//! What is known in a call of the ways to save a file, and the verdicts that follow from it.

use std::cell::OnceCell;
use std::rc::Rc;

use futures::future::join_all;
use tidegate_domain::cache::{FileState, Holder, Need, Progress, Stores, Verdict, WorkerState, judge};
use tidegate_domain::error::Result;
use tidegate_domain::ports::{CacheMaster, CacheWorker, WorkerReport};

use super::DrainCache;

/// Workers out of service that are asked at a time. More are hardly drained at once, and the dead among them are forgotten.
const MOST_ASKED: usize = 32;

/// What Alluxio persists, as it is and where nothing persisted arrives.
pub(super) struct Ways {
    stores: Stores,
    stalled: Stores,
    /// Whether another worker out of service still answers: it may have blocks that the master locates nowhere, and saves
    /// them in a drain of its own, or registers again. Empty before this call has asked.
    others_answer: Rc<OnceCell<bool>>,
}

impl Ways {
    /// Whether Alluxio persists what clients write on a command only.
    pub(super) const fn awaits_command(&self) -> bool {
        self.stores.awaits_command
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
    /// The ways to save files, with what the call knows of other workers.
    pub(super) async fn ways(&self, others_answer: &Rc<OnceCell<bool>>) -> Result<Ways> {
        let stores = self.master.stores().await?;
        let stalled = Stores {
            stalled: true,
            ..stores.clone()
        };
        Ok(Ways {
            stores,
            stalled,
            others_answer: Rc::clone(others_answer),
        })
    }

    /// Judges a file; one whose persisting keeps failing as if there were no under store. Other workers are asked once in a
    /// call, and only where blocks are missing: those that are dead take seconds not to answer.
    pub(super) async fn judge(
        &self,
        ways: &Ways,
        progress: &Progress,
        path: &str,
        state: Option<&FileState>,
        holder: Holder<'_>,
    ) -> Result<Verdict> {
        let stores = if progress.gave_way(path) {
            &ways.stalled
        } else {
            &ways.stores
        };
        let mut verdict = judge(state, holder, stores);
        if verdict.broken.is_some() {
            let others_answer = match ways.others_answer.get() {
                Some(known) => *known,
                None => self.others_answer(holder.host).await?,
            };
            if *ways.others_answer.get_or_init(|| others_answer) {
                verdict.broken = None;
            }
        }
        Ok(verdict)
    }

    async fn others_answer(&self, host: &str) -> Result<bool> {
        let every = self.master.every_worker().await?;
        let others = every
            .iter()
            .filter(|other| other.host != host && other.state != WorkerState::Live)
            .take(MOST_ASKED);
        for load in join_all(others.map(|other| self.workers.load(other))).await {
            if load?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
