//! What a call ends with: what was seen unsaved is told until a later look through all files says otherwise, and what went
//! with a worker that vanished is told as lost.

use tidegate_domain::cache::{LastLook, Worker};
use tidegate_domain::error::Result;
use tidegate_domain::outcome::DrainOutcome;
use tidegate_domain::ports::{CacheMaster, CacheWorker, Clock, CopyTargets, WorkerReport};

use super::{DrainCache, Session, Step};

/// Whether something holds the instance while its worker is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// A hook, or nobody is about to end it.
    Lasts,
    /// Its hook has ended.
    Over,
}

impl Session {
    /// Brings the last look at the files and the outcome together. A worker that is gone has taken with it what the last
    /// look found unsaved: that is a loss, and not an instance that has no worker.
    pub(super) fn conclude(&mut self, outcome: DrainOutcome, reason: String) -> (DrainOutcome, String) {
        // Nothing is waited for once nothing holds the instance.
        let outcome = match (outcome, self.hold) {
            (DrainOutcome::Waiting, Hold::Over) => DrainOutcome::Incomplete,
            (outcome, _) => outcome,
        };
        let (facts, progress) = (&mut self.facts, &mut self.progress);
        if facts.looked {
            let names = if facts.unsaved_files.is_empty() {
                &facts.named_files
            } else {
                &facts.unsaved_files
            };
            progress.last_look = LastLook::new(facts.files_left, facts.bytes_left, names);
        } else {
            facts.files_left = progress.last_look.files;
            facts.bytes_left = progress.last_look.bytes;
            facts.named_files.clone_from(&progress.last_look.named);
        }
        if outcome != DrainOutcome::Absent || facts.files_left == 0 {
            return (outcome, reason);
        }
        let reason = format!(
            "{reason}; when the files of its worker were last looked at, {} of them ({} bytes) existed nowhere else, such \
             as {}",
            facts.files_left,
            facts.bytes_left,
            facts
                .named_files
                .first()
                .map_or("one without a name", String::as_str)
        );
        // The largest of them, as far as they are known by name.
        facts.unsaved_files = std::mem::take(&mut facts.named_files);
        let more = facts.files_left.saturating_sub(facts.unsaved_files.len() as u64);
        facts.more_unsaved_files = (more > 0).then_some(more);
        (DrainOutcome::Lost, reason)
    }

    /// The bytes that are lost for good with this answer; none where that is not decided yet. Only an answer that ends the
    /// drain counts: each of the looks of a drain that holds its hook sees the same bytes.
    pub(super) fn lost_bytes(&self, outcome: DrainOutcome) -> Option<u64> {
        let goes = self.reclaimed || self.hold == Hold::Over && !self.call.node.kept_when_hook_runs_out();
        match outcome {
            DrainOutcome::Drained => Some(0),
            DrainOutcome::Lost => Some(self.facts.bytes_left),
            DrainOutcome::Incomplete if goes => Some(self.facts.bytes_left),
            _ => None,
        }
    }
}

impl<Cluster: CopyTargets, Master: CacheMaster + WorkerReport, Workers: CacheWorker, C: Clock>
    DrainCache<Cluster, Master, Workers, C>
{
    /// What is only on a worker whose hook waits no longer. The worker stays as it is: where the group keeps the instance,
    /// a later drain saves the rest, and needs the worker for that.
    pub(super) async fn look_at_the_end(&self, session: &mut Session, worker: &Worker) -> Result<Step> {
        let (unsaved, broken, complete) = self.unsaved(session, worker).await?;
        session.facts.found_broken(&broken);
        let clean = unsaved.files == 0 && complete;
        let reason = if clean {
            format!(
                "the terminate hook waits no longer; nothing on worker {} is the only copy",
                worker.host
            )
        } else {
            format!(
                "the terminate hook waits no longer, and {} files ({} bytes) on worker {} exist nowhere else, such as {}{}",
                unsaved.files,
                unsaved.bytes,
                worker.host,
                unsaved.largest_named().unwrap_or("one without a name"),
                if complete {
                    ""
                } else {
                    ", as far as could be seen in time"
                }
            )
        };
        session.facts.lost(unsaved);
        let outcome = if clean {
            DrainOutcome::Drained
        } else {
            DrainOutcome::Incomplete
        };
        Ok(Step::Done(outcome, reason))
    }
}

#[cfg(test)]
mod tests;
