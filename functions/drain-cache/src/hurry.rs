//! A pass when the end is near. While the files are looked through the next one in the order is asked for at any time, by
//! what is known so far: neither does saving wait for the last page, nor does a small file of the first page come before
//! a large one of the second.

use std::time::Duration;

use jiff::Timestamp;
use tidegate_domain::cache::{
    Holder, Losses, MOST_CARRIED, MOST_WAITING, Need, Pass, Stores, Unsaved, Waiting, Worker, judge,
    last_moment, next_turn, prune,
};
use tidegate_domain::error::Result;
use tidegate_domain::ports::{CacheMaster, CacheWorker, Clock, CopyTargets};

use super::saving::{CALLS_AT_A_TIME, PAGE, Passed, missing, note_broken};
use super::{BETWEEN_LOOKS, DrainCache, Session};

/// How long the last look through the files may take: half of the last moment.
const LAST_LOOK: Duration = Duration::from_secs(4);

impl<Cluster: CopyTargets, Master: CacheMaster, Workers: CacheWorker, C: Clock>
    DrainCache<Cluster, Master, Workers, C>
{
    /// Goes on with a pass through the files of a worker.
    pub(super) async fn hurried_pass(
        &self,
        session: &mut Session,
        mut pass: Pass,
        worker: &Worker,
        stores: &Stores,
    ) -> Result<Passed> {
        let mut looked_at = self.clock.now();
        let passed = loop {
            let Some(page) = self.workers.files(worker, pass.offset, PAGE).await? else {
                break Passed::Silent;
            };
            let unpersisted: Vec<_> = page.files.iter().filter(|file| !file.persisted).collect();
            for some in unpersisted.chunks(CALLS_AT_A_TIME) {
                for (file, state) in some.iter().zip(self.states(some).await?) {
                    let verdict = judge(state.as_ref(), Holder::of(worker, Some(&file.blocks)), stores);
                    note_broken(&mut pass, &file.path, state.as_ref(), &verdict);
                    let Some(what) = missing(verdict.need) else {
                        continue;
                    };
                    // What is left of a broken file is copied where there is time, and holds nobody.
                    if verdict.broken.is_none() {
                        pass.needs(&file.path, verdict.bytes, what);
                    }
                    if verdict.need != Need::Completion {
                        let at_stake = verdict.only_here > 0 && verdict.broken.is_none();
                        session.wait_for_turn(&file.path, verdict.bytes, at_stake);
                    }
                }
                self.ask_in_turn(session, &mut looked_at, worker, stores).await?;
            }
            self.forget_the_last(session, MOST_WAITING);
            pass.page(&page);
            if pass.complete(&page) {
                self.ask_to_the_end(session, &mut looked_at, worker, stores)
                    .await?;
                break Passed::Whole(pass);
            }
            if self.clock.now() >= session.ends {
                session.progress.pass = Some(pass);
                break Passed::Part;
            }
        };
        self.forget_the_last(session, MOST_CARRIED);
        Ok(passed)
    }

    fn forget_the_last(&self, session: &mut Session, most: usize) {
        let hurry = session.progress.hurry(session.leaves_at(), self.clock.now());
        prune(&mut session.progress.waiting, &hurry, most);
    }

    /// Asks for those whose turn it is, until enough is under way.
    async fn ask_in_turn(
        &self,
        session: &mut Session,
        looked_at: &mut Timestamp,
        worker: &Worker,
        stores: &Stores,
    ) -> Result<()> {
        let now = self.clock.now();
        if Duration::try_from(now.duration_since(*looked_at)).unwrap_or_default() >= BETWEEN_LOOKS {
            *looked_at = now;
            self.look_after_pending(session, worker).await?;
        }
        loop {
            let now = self.clock.now();
            let hurry = session.progress.hurry(session.leaves_at(), now);
            let progress = &mut session.progress;
            if now >= session.ends {
                return Ok(());
            }
            let Some(next) = next_turn(&mut progress.waiting, &hurry, &progress.pending) else {
                return Ok(());
            };
            // It has waited, and a file that was persisted meanwhile would be written again.
            let state = self.master.file(&next.path).await?;
            let verdict = judge(state.as_ref(), Holder::of(worker, None), stores);
            self.ask(session, worker, &next.path, &verdict, None).await?;
        }
    }

    /// The files are all known: asks for one after the other until none is left, or the call is over.
    async fn ask_to_the_end(
        &self,
        session: &mut Session,
        looked_at: &mut Timestamp,
        worker: &Worker,
        stores: &Stores,
    ) -> Result<()> {
        loop {
            self.ask_in_turn(session, looked_at, worker, stores).await?;
            let progress = &session.progress;
            let all = progress.pending.is_empty() && progress.waiting.is_empty();
            if all || self.clock.now() >= session.ends {
                return Ok(());
            }
            self.clock.sleep(BETWEEN_LOOKS).await;
        }
    }

    /// What would be lost with the worker now; what was broken before; and whether all of its files could be looked at in time. What has a copy
    /// on another worker is not lost with this one.
    pub(super) async fn unsaved(&self, worker: &Worker) -> Result<(Unsaved, Losses, bool)> {
        let ends = self.clock.now() + LAST_LOOK;
        let stores = self.master.stores().await?;
        let (mut pass, mut unsaved) = (Pass::default(), Unsaved::default());
        loop {
            let Some(page) = self.workers.files(worker, pass.offset, PAGE).await? else {
                return Ok((unsaved, pass.broken, false));
            };
            let unpersisted: Vec<_> = page.files.iter().filter(|file| !file.persisted).collect();
            for some in unpersisted.chunks(CALLS_AT_A_TIME) {
                for (file, state) in some.iter().zip(self.states(some).await?) {
                    let verdict = judge(state.as_ref(), Holder::of(worker, Some(&file.blocks)), &stores);
                    note_broken(&mut pass, &file.path, state.as_ref(), &verdict);
                    if let Some(what) = missing(verdict.need)
                        && verdict.only_here > 0
                        && verdict.broken.is_none()
                    {
                        unsaved.note(&file.path, verdict.only_here, what);
                    }
                }
                if self.clock.now() >= ends {
                    pass.broken.tidy();
                    return Ok((unsaved, pass.broken, false));
                }
            }
            pass.page(&page);
            if pass.complete(&page) {
                return Ok((unsaved, pass.broken, pass.unnamed_files == 0));
            }
        }
    }
}

impl Session {
    /// When saving ends: at the deadline, or a moment before it where the instance is taken away then.
    pub(super) fn leaves_at(&self) -> Timestamp {
        let deadline = self.call.frame.deadline;
        if self.reclaimed {
            last_moment(deadline)
        } else {
            deadline
        }
    }

    fn wait_for_turn(&mut self, path: &str, bytes: u64, at_stake: bool) {
        let progress = &mut self.progress;
        let known = progress.pending.iter().any(|pending| pending.path == path)
            || progress.waiting.iter().any(|waiting| waiting.path == path);
        if !known {
            progress.waiting.push(Waiting {
                path: path.to_owned(),
                bytes,
                at_stake,
            });
        }
    }
}

#[cfg(test)]
mod tests;
