//! A pass through a worker's files: each page is looked at, what needs something is asked for at once, and only
//! counts are kept, so that a worker with a million files needs no more memory than one with ten.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use tidegate_domain::cache::{
    FileState, HeldBlock, Holder, Need, PageSize, Pass, Pending, Progress, Verdict, Worker, WorkerFile,
    WorkerFilePage, near, probe,
};
use tidegate_domain::error::Result;
use tidegate_domain::ports::{CacheMaster, CacheWorker, Changed, Clock, Copied, CopyTargets, WorkerReport};

use super::judging::Ways;
use super::{DrainCache, Session};

/// So many calls to the master at a time.
pub(super) const CALLS_AT_A_TIME: usize = 16;
/// The master says at once of a file that it is to be persisted. Of one that it never persists it says nothing else than
/// before, and gives no reason.
const SILENT_REFUSAL: SignedDuration = SignedDuration::from_secs(10);
/// A worker that answers with silence sooner than this had no trouble with the size of the page.
const SLOW_SILENCE: SignedDuration = SignedDuration::from_secs(1);

/// How far a pass came.
pub(super) enum Passed {
    /// Through all files.
    Whole(Pass),
    /// The call's time is up; it goes on with the next call.
    Part,
    /// The worker does not answer.
    Silent,
}

/// What came of asking a worker for a page of its files.
pub(super) enum Paged {
    /// The page.
    Page(WorkerFilePage),
    /// None could be looked at in the time that is left.
    Late,
    /// The worker does not answer.
    Silent,
}

impl<Cluster: CopyTargets, Master: CacheMaster + WorkerReport, Workers: CacheWorker, C: Clock>
    DrainCache<Cluster, Master, Workers, C>
{
    /// Goes through the files of a worker, from where the last pass stopped, and asks for what saves them.
    pub(super) async fn pass(&self, session: &mut Session, worker: &Worker) -> Result<Passed> {
        let ways = self.ways(&session.others_answer).await?;
        session.awaits_command = ways.awaits_command();
        if near(session.call.frame.deadline, self.clock.now()) {
            return self.hurried_pass(session, worker, &ways).await;
        }
        // They are met again.
        session.progress.waiting.clear();
        let mut pass = session.progress.pass.clone().unwrap_or_default();
        loop {
            let began = self.clock.now();
            let page = self
                .page(&mut session.progress.page, worker, pass.offset, session.closes)
                .await?;
            let page = match page {
                Paged::Page(page) => page,
                Paged::Late => return Ok(session.late(began, pass)),
                Paged::Silent => return Ok(Passed::Silent),
            };
            let mut looking = self.clock.now().duration_since(began);
            let before = pass.clone();
            let unpersisted: Vec<_> = page.files.iter().filter(|file| !file.persisted).collect();
            // A few at a time: asking may have to wait, and a file that was persisted meanwhile would be written again.
            for some in unpersisted.chunks(CALLS_AT_A_TIME) {
                let began = self.clock.now();
                if began >= session.closes {
                    let files = u32::try_from(page.looked).unwrap_or(u32::MAX);
                    session.progress.page.failed(files, looking);
                    return Ok(session.part(before));
                }
                let states = self.states(some).await?;
                looking += self.clock.now().duration_since(began);
                for (file, state) in some.iter().zip(states) {
                    let holder = Holder::of(worker, Some(&file.blocks));
                    let verdict = self.judge(&ways, &session.progress, &file.path, state.as_ref(), holder);
                    let verdict = verdict.await?;
                    note_broken(&mut pass, &file.path, state.as_ref(), &verdict);
                    let Some(what) = missing(verdict.need) else {
                        pass.copied_files += u64::from(ways.only_copied(state.as_ref(), &verdict));
                        continue;
                    };
                    let what = if ways.instead(&session.progress, &file.path, &verdict) {
                        "not in the under store, and persisting it keeps failing"
                    } else {
                        what
                    };
                    let refused = match &state {
                        Some(state) => self.meet(session, worker, file, state, &verdict, &ways).await?,
                        None => None,
                    };
                    match refused {
                        // What is left of a broken file holds nobody where it cannot be copied.
                        Some(Copied::NoTarget(_)) if verdict.broken.is_some() => {}
                        Some(Copied::NoTarget(why) | Copied::NotYet(why)) => {
                            pass.needs(&file.path, verdict.bytes, &format!("{what}: {why}"));
                        }
                        _ => pass.needs(&file.path, verdict.bytes, what),
                    }
                }
            }
            session.progress.page.took(page.looked, looking);
            pass.page(&page);
            if pass.complete(&page) {
                session.progress.pass = None;
                self.await_pending(session, worker).await?;
                return Ok(Passed::Whole(pass));
            }
            // The order begins to count as soon as the end is near.
            let now = self.clock.now();
            if now >= session.ends || near(session.call.frame.deadline, now) {
                return Ok(session.part(pass));
            }
        }
    }

    /// A page of a worker's files, of as many as it can list in the time that is left.
    pub(super) async fn page(
        &self,
        size: &mut PageSize,
        worker: &Worker,
        offset: u64,
        closes: Timestamp,
    ) -> Result<Paged> {
        loop {
            let began = self.clock.now();
            let Some(files) = size.next(closes.duration_since(began)) else {
                return Ok(Paged::Late);
            };
            if let Some(page) = self.workers.files(worker, offset, files).await? {
                return Ok(Paged::Page(page));
            }
            let silence = self.clock.now().duration_since(began);
            if silence < SLOW_SILENCE || !size.failed(files, silence) {
                return Ok(Paged::Silent);
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

    /// Asks for what a file needs, unless that was asked before or there is no room for it in this call; answers why no copy
    /// of it is made, where that is so.
    async fn meet(
        &self,
        session: &mut Session,
        worker: &Worker,
        file: &WorkerFile,
        state: &FileState,
        verdict: &Verdict,
        ways: &Ways,
    ) -> Result<Option<Copied>> {
        if verdict.need == Need::Completion || session.under_way(&file.path) {
            return Ok(None);
        }
        if !self.await_room(session, worker, state, verdict).await? {
            return Ok(None);
        }
        self.ask(session, worker, state, verdict, ways, Some(&file.blocks))
            .await
    }

    /// Asks for what a file needs; answers why no copy of it is made, where that is so. A file that Alluxio is persisting
    /// already is only waited for, whoever asked.
    pub(super) async fn ask(
        &self,
        session: &mut Session,
        worker: &Worker,
        state: &FileState,
        verdict: &Verdict,
        ways: &Ways,
        listed: Option<&[HeldBlock]>,
    ) -> Result<Option<Copied>> {
        let path = &state.path;
        let instead = ways.instead(&session.progress, path, verdict);
        let mut asked = Pending {
            path: path.clone(),
            bytes: verdict.bytes,
            copy: false,
            times: 0,
            without_copy: verdict.without_copy,
            instead,
            adopted: session.progress.flow.adopts(state.persisting),
            asked_at: self.clock.now(),
        };
        let mut refused = None;
        let mut under_way = false;
        // Alluxio keeps what it is to persist from being evicted, and goes on trying.
        if verdict.need == Need::Persist || instead {
            under_way = asked.adopted || self.master.persist(path).await? == Changed::Done;
        }
        if verdict.need == Need::Copy {
            match self.copy(&session.progress, path, worker, listed).await? {
                Copied::Asked => (under_way, asked.copy) = (true, true),
                Copied::Nothing => {}
                why => refused = Some(why),
            }
        }
        if under_way {
            asked.asked_at = self.clock.now();
            session.progress.asked(asked);
        }
        Ok(refused)
    }

    /// Waits until one more file may be asked for; answers no where the call's time is up before. As soon as one is
    /// saved the next is asked for: job workers that run dry between two pages halve the rate of small files.
    async fn await_room(
        &self,
        session: &mut Session,
        worker: &Worker,
        state: &FileState,
        verdict: &Verdict,
    ) -> Result<bool> {
        loop {
            let progress = &mut session.progress;
            if progress.flow.room(&progress.pending, verdict.bytes) {
                return Ok(true);
            }
            // What Alluxio persists by itself need not be asked for.
            if progress.flow.adopts(state.persisting) && verdict.need == Need::Persist
                || self.clock.now() >= session.ends
            {
                return Ok(false);
            }
            self.rest(session).await;
            self.look_after_pending(session, worker).await?;
        }
    }

    /// Waits until all that was asked for is there; not beyond the call's time.
    async fn await_pending(&self, session: &mut Session, worker: &Worker) -> Result<()> {
        loop {
            self.look_after_pending(session, worker).await?;
            if session.progress.pending.is_empty() || self.clock.now() >= session.ends {
                return Ok(());
            }
            self.rest(session).await;
        }
    }

    /// Until the next look at what is under way.
    async fn rest(&self, session: &Session) {
        let now = self.clock.now();
        let seconds = session.progress.flow.seconds_between_looks(now);
        let left = session.ends.duration_since(now).as_secs();
        let left = u64::try_from(left).unwrap_or_default().max(1);
        self.clock.sleep(Duration::from_secs(seconds.min(left))).await;
    }

    /// Looks whether what was asked for is there, and asks again where saving has come to a halt.
    pub(super) async fn look_after_pending(&self, session: &mut Session, worker: &Worker) -> Result<()> {
        let mut probed = None;
        let mut looked = 0;
        while looked < session.progress.pending.len() && self.clock.now() < session.closes {
            let some: Vec<_> = session.progress.pending[looked..]
                .iter()
                .take(CALLS_AT_A_TIME)
                .cloned()
                .collect();
            let states: Vec<_> = stream::iter(&some)
                .map(|pending| self.master.file(&pending.path))
                .buffered(CALLS_AT_A_TIME)
                .try_collect()
                .await?;
            let now = self.clock.now();
            for (file, state) in some.into_iter().zip(states) {
                let copied =
                    |state: &FileState| file.copy && state.without_another(&worker.host) <= file.without_copy;
                let silent = |state: &FileState| {
                    let since = now.duration_since(file.asked_at);
                    !file.copy && !state.persisting && since >= SILENT_REFUSAL
                };
                let progress = &mut session.progress;
                match state {
                    Some(state) if !state.persisted && !copied(&state) && silent(&state) => {
                        progress.pending.remove(looked);
                        progress.give_way(&file.path);
                    }
                    Some(state) if !state.persisted && !copied(&state) => looked += 1,
                    Some(state) => {
                        progress.pending.remove(looked);
                        progress.saved(&file, state.persisted, now);
                        if !state.persisted && file.instead {
                            progress.give_way(&file.path);
                        }
                        if state.persisted && file.times > 0 {
                            probed = Some(file);
                        }
                    }
                    None => drop(progress.pending.remove(looked)),
                }
            }
        }
        let now = self.clock.now();
        let Progress { flow, pending, .. } = &mut session.progress;
        for index in flow.again(pending, probed.as_ref(), session.awaits_command, now) {
            self.persist_again(session, index).await?;
        }
        self.ask_copies_again(session, worker).await?;
        let now = self.clock.now();
        let progress = &mut session.progress;
        if progress.flow.halted(&progress.pending, now) {
            progress.flow.halt(now);
            self.ask_again(session, worker).await?;
        }
        Ok(())
    }

    /// Saving has come to a halt: one file is asked for again, to see whether the under store takes it now. Where that has
    /// not helped before, all that is under way is copied to other workers as well.
    async fn ask_again(&self, session: &mut Session, worker: &Worker) -> Result<()> {
        if let Some(index) = probe(&session.progress.pending) {
            self.persist_again(session, index).await?;
        }
        if !session.progress.flow.fails() {
            return Ok(());
        }
        for index in 0..session.progress.pending.len() {
            let pending = &session.progress.pending[index];
            if pending.copy || self.clock.now() >= session.closes {
                continue;
            }
            match self.copy(&session.progress, &pending.path, worker, None).await? {
                Copied::Asked => {
                    let pending = &mut session.progress.pending[index];
                    (pending.copy, pending.instead) = (true, true);
                    pending.asked_at = self.clock.now();
                }
                Copied::Nothing => {}
                Copied::NoTarget(_) | Copied::NotYet(_) => return Ok(()),
            }
        }
        Ok(())
    }

    async fn persist_again(&self, session: &mut Session, index: usize) -> Result<()> {
        let pending = &mut session.progress.pending[index];
        self.master.persist(&pending.path).await?;
        pending.asked_at = self.clock.now();
        pending.times += 1;
        Ok(())
    }

    async fn ask_copies_again(&self, session: &mut Session, worker: &Worker) -> Result<()> {
        for index in 0..session.progress.pending.len() {
            let now = self.clock.now();
            let pending = &session.progress.pending[index];
            if pending.copy_overdue(now) && now < session.closes {
                self.copy(&session.progress, &pending.path, worker, None).await?;
                let pending = &mut session.progress.pending[index];
                pending.asked_at = now;
                pending.times += 1;
            }
        }
        Ok(())
    }
}

impl Session {
    pub(super) fn part(&mut self, pass: Pass) -> Passed {
        self.progress.pass = Some(pass);
        Passed::Part
    }

    /// No page could be looked at any more: the call is over.
    pub(super) fn late(&mut self, now: Timestamp, pass: Pass) -> Passed {
        self.ends = self.ends.min(now);
        self.part(pass)
    }

    pub(super) fn under_way(&self, path: &str) -> bool {
        self.progress.pending.iter().any(|pending| pending.path == path)
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
mod adapting;
#[cfg(test)]
mod tests;
