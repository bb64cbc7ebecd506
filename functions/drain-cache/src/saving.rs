//! A pass through a worker's files: each page is looked at, what needs something is asked for at once, and only
//! counts are kept, so that a worker with a million files needs no more memory than one with ten.

use futures::{StreamExt, TryStreamExt, stream};
use tidegate_domain::cache::{
    FileState, HeldBlock, Holder, MOST_PENDING, Need, Pass, Pending, Verdict, Worker, WorkerFile, judge, near,
};
use tidegate_domain::error::Result;
use tidegate_domain::ports::{CacheMaster, CacheWorker, Changed, Clock, Copied, CopyTargets};

use super::{BETWEEN_LOOKS, DrainCache, Session};

/// Files a page. The worker asks the master about each one when it answers a page, so a page of 500 keeps that
/// answer within a second or so.
pub(super) const PAGE: u32 = 500;
/// So many calls to the master at a time.
pub(super) const CALLS_AT_A_TIME: usize = 16;

/// How far a pass came.
pub(super) enum Passed {
    /// Through all files.
    Whole(Pass),
    /// The call's time is up; it goes on with the next call.
    Part,
    /// The worker does not answer.
    Silent,
}

impl<Cluster: CopyTargets, Master: CacheMaster, Workers: CacheWorker, C: Clock>
    DrainCache<Cluster, Master, Workers, C>
{
    /// Goes through the files of a worker, from where the last pass stopped, and asks for what saves them.
    pub(super) async fn pass(&self, session: &mut Session, worker: &Worker) -> Result<Passed> {
        let mut pass = session.progress.pass.take().unwrap_or_default();
        let stores = self.master.stores().await?;
        if near(session.call.frame.deadline, self.clock.now()) {
            return self.hurried_pass(session, pass, worker, &stores).await;
        }
        loop {
            let Some(page) = self.workers.files(worker, pass.offset, PAGE).await? else {
                return Ok(Passed::Silent);
            };
            let unpersisted: Vec<_> = page.files.iter().filter(|file| !file.persisted).collect();
            // A few at a time: asking may have to wait, and a file that was persisted meanwhile would be written again.
            for some in unpersisted.chunks(CALLS_AT_A_TIME) {
                for (file, state) in some.iter().zip(self.states(some).await?) {
                    let verdict = judge(state.as_ref(), Holder::of(worker, Some(&file.blocks)), &stores);
                    note_broken(&mut pass, &file.path, state.as_ref(), &verdict);
                    self.meet(session, &mut pass, worker, file, &verdict).await?;
                }
            }
            pass.page(&page);
            if pass.complete(&page) {
                self.await_pending(session, worker).await?;
                return Ok(Passed::Whole(pass));
            }
            // The order begins to count as soon as the end is near.
            let now = self.clock.now();
            if now >= session.ends || near(session.call.frame.deadline, now) {
                session.progress.pass = Some(pass);
                return Ok(Passed::Part);
            }
        }
    }

    pub(super) async fn states(&self, files: &[&WorkerFile]) -> Result<Vec<Option<FileState>>> {
        stream::iter(files)
            .map(|file| self.master.file(&file.path))
            .buffered(CALLS_AT_A_TIME)
            .try_collect()
            .await
    }

    /// Asks for what a file needs, unless that was asked a moment ago, and notes it.
    async fn meet(
        &self,
        session: &mut Session,
        pass: &mut Pass,
        worker: &Worker,
        file: &WorkerFile,
        verdict: &Verdict,
    ) -> Result<()> {
        let Some(what) = missing(verdict.need) else {
            return Ok(());
        };
        let asked_already = |pending: &Pending| pending.path == file.path;
        let asked = verdict.need == Need::Completion || session.progress.pending.iter().any(asked_already);
        let mut refused = None;
        if !asked && self.await_room(session, worker).await? {
            refused = self
                .ask(session, worker, &file.path, verdict, Some(&file.blocks))
                .await?;
        }
        match refused {
            // What is left of a broken file holds nobody where it cannot be copied.
            Some(Copied::NoTarget(_)) if verdict.broken.is_some() => {}
            Some(Copied::NoTarget(why) | Copied::NotYet(why)) => {
                pass.needs(&file.path, verdict.bytes, &format!("{what}: {why}"));
            }
            _ => pass.needs(&file.path, verdict.bytes, what),
        }
        Ok(())
    }

    /// Asks for what a file needs; answers why no copy of it is made, where that is so.
    pub(super) async fn ask(
        &self,
        session: &mut Session,
        worker: &Worker,
        path: &str,
        verdict: &Verdict,
        listed: Option<&[HeldBlock]>,
    ) -> Result<Option<Copied>> {
        let asked = match verdict.need {
            Need::Persist => self.master.persist(path).await? == Changed::Done,
            Need::Copy => match self.copy(&session.progress, path, worker, listed).await? {
                Copied::Asked => true,
                Copied::Nothing => false,
                refused => return Ok(Some(refused)),
            },
            Need::Nothing | Need::Completion => false,
        };
        if asked {
            session.progress.asked(Pending {
                path: path.to_owned(),
                bytes: verdict.bytes,
                asked_at: self.clock.now(),
                copy: verdict.need == Need::Copy,
                without_copy: verdict.without_copy,
            });
        }
        Ok(None)
    }

    /// Waits until one more file may be asked for; answers no where the call's time is up before. As soon as one is
    /// saved the next is asked for: job workers that run dry between two pages halve the rate of small files.
    async fn await_room(&self, session: &mut Session, worker: &Worker) -> Result<bool> {
        while session.progress.pending.len() >= MOST_PENDING {
            if self.clock.now() >= session.ends {
                return Ok(false);
            }
            self.clock.sleep(BETWEEN_LOOKS).await;
            self.look_after_pending(session, worker).await?;
        }
        Ok(true)
    }

    /// Waits until all that was asked for is there; not beyond the call's time.
    async fn await_pending(&self, session: &mut Session, worker: &Worker) -> Result<()> {
        loop {
            self.look_after_pending(session, worker).await?;
            if session.progress.pending.is_empty() || self.clock.now() >= session.ends {
                return Ok(());
            }
            self.clock.sleep(BETWEEN_LOOKS).await;
        }
    }

    pub(super) async fn look_after_pending(&self, session: &mut Session, worker: &Worker) -> Result<()> {
        let now = self.clock.now();
        let pending = std::mem::take(&mut session.progress.pending);
        let states: Vec<_> = stream::iter(&pending)
            .map(|pending| self.master.file(&pending.path))
            .buffered(CALLS_AT_A_TIME)
            .try_collect()
            .await?;
        for (pending, state) in pending.into_iter().zip(states) {
            let Some(state) = state else { continue };
            let copied = || state.without_another(&worker.host) <= pending.without_copy;
            let saved = state.persisted || pending.copy && copied();
            if saved {
                session.progress.saved(&pending, now);
            } else if !pending.stale(now) {
                session.progress.pending.push(pending);
            }
        }
        Ok(())
    }
}

/// Notes a file that was broken before.
pub(super) fn note_broken(pass: &mut Pass, path: &str, state: Option<&FileState>, verdict: &Verdict) {
    if let Some(broken) = verdict.broken {
        let bytes = state.map_or(0, |state| state.length);
        pass.broken.note(path, bytes, &broken.to_string());
    }
}

/// What is missing where a file needs something.
pub(super) const fn missing(need: Need) -> Option<&'static str> {
    match need {
        Need::Nothing => None,
        Need::Persist => Some("not in the under store"),
        Need::Copy => Some("no copy elsewhere, and not to be persisted from here"),
        Need::Completion => Some("still being written"),
    }
}

#[cfg(test)]
mod tests;
