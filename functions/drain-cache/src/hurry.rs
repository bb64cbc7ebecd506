//! A pass when the end is near. While the files are looked through the next one in the order is asked for at any time, by
//! what is known so far: neither does saving wait for the last page, nor does a small file of the first page come before
//! a large one of the second.

use std::time::Duration;

use jiff::Timestamp;
use tidegate_domain::cache::{
    Holder, Losses, MOST_CARRIED, MOST_WAITING, Need, Pass, Pending, Unsaved, Waiting, Worker, last_moment,
    last_turn, near, next_turn, prune,
};
use tidegate_domain::error::Result;
use tidegate_domain::ports::{CacheMaster, CacheWorker, Clock, Copied, CopyTargets, WorkerReport};

use super::judging::Ways;
use super::saving::{CALLS_AT_A_TIME, Paged, Passed, missing, note_broken};
use super::{BETWEEN_LOOKS, DrainCache, Session};

/// How long the last look through the files may take: half of the last moment.
const LAST_LOOK: Duration = Duration::from_secs(4);
/// So many files are copied at a time to other workers beside those that are persisted.
const COPIES_AT_A_TIME: usize = 8;

impl<Cluster: CopyTargets, Master: CacheMaster + WorkerReport, Workers: CacheWorker, C: Clock>
    DrainCache<Cluster, Master, Workers, C>
{
    /// Goes on with a pass through the files of a worker.
    pub(super) async fn hurried_pass(
        &self,
        session: &mut Session,
        worker: &Worker,
        ways: &Ways,
    ) -> Result<Passed> {
        let mut pass = session.progress.pass.clone().unwrap_or_default();
        let mut looked_at = self.clock.now();
        let passed = loop {
            let began = self.clock.now();
            let page = self
                .page(&mut session.progress.page, worker, pass.offset, session.closes)
                .await?;
            let page = match page {
                Paged::Page(page) => page,
                Paged::Late => break session.late(began, pass),
                Paged::Silent => break Passed::Silent,
            };
            let mut looking = self.clock.now().duration_since(began);
            let before = pass.clone();
            let unpersisted: Vec<_> = page.files.iter().filter(|file| !file.persisted).collect();
            let mut late = false;
            for some in unpersisted.chunks(CALLS_AT_A_TIME) {
                let began = self.clock.now();
                late = began >= session.closes;
                if late {
                    break;
                }
                let states = self.states(some).await?;
                looking += self.clock.now().duration_since(began);
                for (file, state) in some.iter().zip(states) {
                    let holder = Holder::of(worker, Some(&file.blocks));
                    let verdict = self.judge(ways, &session.progress, &file.path, state.as_ref(), holder);
                    let verdict = verdict.await?;
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
                self.ask_in_turn(session, &mut pass, &mut looked_at, worker, ways)
                    .await?;
            }
            self.forget_the_last(session, MOST_WAITING);
            if late {
                let files = u32::try_from(page.looked).unwrap_or(u32::MAX);
                session.progress.page.failed(files, looking);
                break session.part(before);
            }
            session.progress.page.took(page.looked, looking);
            pass.page(&page);
            if pass.complete(&page) {
                session.progress.pass = None;
                self.ask_to_the_end(session, &mut pass, &mut looked_at, worker, ways)
                    .await?;
                break Passed::Whole(pass);
            }
            if self.hurry_is_over(session) {
                break session.part(pass);
            }
        };
        self.forget_the_last(session, MOST_CARRIED);
        Ok(passed)
    }

    /// Whether the call is over, or the time in which the order counts.
    fn hurry_is_over(&self, session: &Session) -> bool {
        let now = self.clock.now();
        now >= session.ends || !near(session.call.frame.deadline, now)
    }

    fn forget_the_last(&self, session: &mut Session, most: usize) {
        let hurry = session.progress.hurry(session.leaves_at(), self.clock.now());
        prune(&mut session.progress.waiting, &hurry, most);
    }

    /// Asks for those whose turn it is, until enough is under way.
    async fn ask_in_turn(
        &self,
        session: &mut Session,
        pass: &mut Pass,
        looked_at: &mut Timestamp,
        worker: &Worker,
        ways: &Ways,
    ) -> Result<()> {
        let now = self.clock.now();
        if Duration::try_from(now.duration_since(*looked_at)).unwrap_or_default() >= BETWEEN_LOOKS {
            *looked_at = now;
            self.look_after_pending(session, worker).await?;
        }
        loop {
            let hurry = session.progress.hurry(session.leaves_at(), self.clock.now());
            if self.hurry_is_over(session) {
                return Ok(());
            }
            let progress = &mut session.progress;
            let Some(next) = next_turn(&mut progress.waiting, &hurry, &progress.pending) else {
                break;
            };
            // It has waited, and a file that was persisted meanwhile would be written again.
            let Some(state) = self.master.file(&next.path).await? else {
                continue;
            };
            let holder = Holder::of(worker, None);
            let verdict = self.judge(ways, &session.progress, &next.path, Some(&state), holder);
            let verdict = verdict.await?;
            // What Alluxio persists by itself and cannot finish in time is nothing to wait for.
            if !state.persisting || hurry.fits(verdict.bytes) {
                let refused = self.ask(session, worker, &state, &verdict, ways, None).await?;
                if let Some(Copied::NoTarget(why) | Copied::NotYet(why)) = refused {
                    pass.refused(&next.path, &why);
                }
            }
        }
        self.copy_the_last(session, worker, ways).await
    }

    /// What the under store has no time for may have time to be copied: from an instance that is taken away other workers
    /// take those files whose turn would come last.
    async fn copy_the_last(&self, session: &mut Session, worker: &Worker, ways: &Ways) -> Result<()> {
        let copies = |session: &Session| {
            let pending = session.progress.pending.iter();
            pending.filter(|pending| pending.copy).count()
        };
        while session.reclaimed && session.without_target.is_none() && copies(session) < COPIES_AT_A_TIME {
            let hurry = session.progress.hurry(session.leaves_at(), self.clock.now());
            if self.hurry_is_over(session) {
                return Ok(());
            }
            let Some(last) = last_turn(&mut session.progress.waiting, &hurry) else {
                return Ok(());
            };
            let Some(state) = self.master.file(&last.path).await? else {
                continue;
            };
            let holder = Holder::of(worker, None);
            let verdict = self.judge(ways, &session.progress, &last.path, Some(&state), holder);
            let verdict = verdict.await?;
            match self.copy(&session.progress, &last.path, worker, None).await? {
                Copied::Asked => session.progress.asked(Pending {
                    path: last.path,
                    bytes: verdict.only_here,
                    asked_at: self.clock.now(),
                    copy: true,
                    without_copy: verdict.without_copy,
                    ..Pending::default()
                }),
                Copied::Nothing => {}
                Copied::NoTarget(why) => {
                    session.without_target = Some(why);
                    session.progress.waiting.push(last);
                }
                Copied::NotYet(_) => {
                    session.progress.waiting.push(last);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The files are all known: asks for one after the other until none is left, or the call is over.
    async fn ask_to_the_end(
        &self,
        session: &mut Session,
        pass: &mut Pass,
        looked_at: &mut Timestamp,
        worker: &Worker,
        ways: &Ways,
    ) -> Result<()> {
        loop {
            self.ask_in_turn(session, pass, looked_at, worker, ways).await?;
            let progress = &session.progress;
            let all = progress.pending.is_empty() && progress.waiting.is_empty();
            if all || self.hurry_is_over(session) {
                return Ok(());
            }
            self.clock.sleep(BETWEEN_LOOKS).await;
        }
    }

    /// What would be lost with the worker now; what was broken before; and whether all of its files could be looked at in
    /// time. What has a copy on another worker is not lost with this one.
    pub(super) async fn unsaved(
        &self,
        session: &mut Session,
        worker: &Worker,
    ) -> Result<(Unsaved, Losses, bool)> {
        let ends = self.clock.now() + LAST_LOOK;
        let ways = self.ways(&session.others_answer).await?;
        let (mut pass, mut unsaved) = (Pass::default(), Unsaved::default());
        loop {
            let size = &mut session.progress.page;
            let Paged::Page(page) = self.page(size, worker, pass.offset, ends).await? else {
                return Ok((unsaved, pass.broken, false));
            };
            let unpersisted: Vec<_> = page.files.iter().filter(|file| !file.persisted).collect();
            for some in unpersisted.chunks(CALLS_AT_A_TIME) {
                for (file, state) in some.iter().zip(self.states(some).await?) {
                    let holder = Holder::of(worker, Some(&file.blocks));
                    let verdict = self.judge(&ways, &session.progress, &file.path, state.as_ref(), holder);
                    let verdict = verdict.await?;
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
