//! Looks through the files of all caches: those of several workers at a time, page by page, as far as a call comes.

use std::collections::BTreeSet;

use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use tidegate_domain::cache::{Holder, Pass, Pending, Worker, probe};
use tidegate_domain::destroy::{Fate, Progress, Round, Settled, counted_at, fate};
use tidegate_domain::error::Result;
use tidegate_domain::ports::{CacheMaster, CacheWorker, Changed, Clock};

use crate::{BETWEEN_LOOKS, DestroyCluster, Neighbours, Session};

/// Files a page: the worker asks the master about each when it answers.
const PAGE: u32 = 500;
/// So many workers are asked at a time. The master answers all of them.
const WORKERS_AT_A_TIME: usize = 8;
/// So many calls to the master at a time, for each of them.
const CALLS_AT_A_TIME: usize = 8;

/// How far a look came.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub(crate) enum Looked {
    /// Through all files of all workers.
    Whole(Round),
    /// The call's time is up; it goes on with the next call.
    Part,
    /// A worker does not answer.
    Silent(String),
}

/// A page of a worker's files.
struct Page {
    pass: Pass,
    complete: bool,
    files: Vec<Seen>,
}

/// A file of such a page.
struct Seen {
    path: String,
    bytes: u64,
    fate: Fate,
    /// It is counted at this worker, and at no other that holds a part of it.
    counts: bool,
    /// Alluxio is to write it to the under store already.
    persisting: bool,
}

impl<N: Neighbours> DestroyCluster<N> {
    /// Goes on with a look through the files of these workers; with `save`, asks for those that can be written to the
    /// under store.
    pub(crate) async fn look(
        &self,
        session: &mut Session,
        workers: &[Worker],
        settled: Settled,
        save: bool,
    ) -> Result<Looked> {
        let mut round = session.progress.round.take().unwrap_or_default();
        round.began_at.get_or_insert_with(|| self.clock.now());
        let hosts: BTreeSet<_> = workers.iter().map(|worker| worker.host.as_str()).collect();
        round.under_way.retain(|host, _| hosts.contains(host.as_str()));
        if session.stores.is_none() {
            session.stores = Some(self.master.stores().await?);
        }
        loop {
            let left = workers
                .iter()
                .filter(|worker| !round.looked.contains(&worker.host));
            let some: Vec<_> = left.take(WORKERS_AT_A_TIME).collect();
            if some.is_empty() {
                round.tidy();
                return Ok(Looked::Whole(round));
            }
            let seen = &*session;
            let pages = some.iter().map(|worker| {
                let pass = round.under_way.get(&worker.host).cloned().unwrap_or_default();
                self.page(seen, worker, pass, settled, &hosts)
            });
            let pages = join_all(pages).await;
            for (worker, page) in some.iter().zip(pages) {
                let Some(page) = page? else {
                    let silent = format!("worker {} does not tell its files", worker.host);
                    if session.gives_up {
                        round.unseen.push(silent);
                        round.looked_through(&worker.host, &Pass::default());
                        continue;
                    }
                    session.progress.round = Some(round);
                    return Ok(Looked::Silent(silent));
                };
                for file in page.files {
                    round.note(&file.path, file.bytes, file.fate, file.counts);
                    if save && file.fate == Fate::Persist {
                        self.ask(session, file).await?;
                    }
                }
                if page.complete {
                    round.looked_through(&worker.host, &page.pass);
                } else {
                    round.under_way.insert(worker.host.clone(), page.pass);
                }
            }
            if self.clock.now() >= session.ends {
                round.tidy();
                session.progress.round = Some(round);
                return Ok(Looked::Part);
            }
        }
    }

    /// The next page of a worker's files; none where it does not answer.
    async fn page(
        &self,
        session: &Session,
        worker: &Worker,
        mut pass: Pass,
        settled: Settled,
        hosts: &BTreeSet<&str>,
    ) -> Result<Option<Page>> {
        let Some(page) = self.workers.files(worker, pass.offset, PAGE).await? else {
            return Ok(None);
        };
        let Some(stores) = &session.stores else {
            return Ok(None);
        };
        let unpersisted: Vec<_> = page.files.iter().filter(|file| !file.persisted).collect();
        let states: Vec<_> = stream::iter(&unpersisted)
            .map(|file| self.master.file(&file.path))
            .buffered(CALLS_AT_A_TIME)
            .try_collect()
            .await?;
        let files = unpersisted.iter().zip(states).map(|(file, state)| {
            let holder = Holder::of(worker, Some(&file.blocks));
            let settled = settled.naming(session.progress.broken.names(&file.path));
            let fate = fate(state.as_ref(), holder, settled, stores);
            let bytes = state.as_ref().map_or(0, |state| state.length);
            let counts = state
                .as_ref()
                .is_none_or(|state| counted_at(state, &worker.host, |host| hosts.contains(host)));
            Seen {
                path: file.path.clone(),
                bytes,
                fate,
                counts,
                persisting: state.is_some_and(|state| state.persisting),
            }
        });
        let files = files.collect();
        pass.page(&page);
        let complete = pass.complete(&page);
        Ok(Some(Page {
            pass,
            complete,
            files,
        }))
    }

    /// Has a file written to the under store as soon as there is room, unless that is under way. Where the call's time is
    /// up before, the next look finds it again.
    async fn ask(&self, session: &mut Session, file: Seen) -> Result<()> {
        let known = |pending: &Pending| pending.path == file.path;
        if session.progress.pending.iter().any(known) {
            return Ok(());
        }
        while !session.progress.flow.room(&session.progress.pending, file.bytes) {
            if self.clock.now() >= session.ends {
                return Ok(());
            }
            self.clock.sleep(BETWEEN_LOOKS).await;
            self.look_after_pending(session).await?;
        }
        let adopted = session.progress.flow.adopts(file.persisting);
        if adopted || self.master.persist(&file.path).await? == Changed::Done {
            session.progress.asked(Pending {
                path: file.path,
                bytes: file.bytes,
                adopted,
                asked_at: self.clock.now(),
                ..Pending::default()
            });
        }
        Ok(())
    }

    /// Waits until all that was asked for is there; not beyond the call's time.
    pub(crate) async fn await_pending(&self, session: &mut Session) -> Result<()> {
        loop {
            self.look_after_pending(session).await?;
            if session.progress.pending.is_empty() || self.clock.now() >= session.ends {
                return Ok(());
            }
            self.clock.sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn look_after_pending(&self, session: &mut Session) -> Result<()> {
        let now = self.clock.now();
        let pending = std::mem::take(&mut session.progress.pending);
        let states: Vec<_> = stream::iter(&pending)
            .map(|pending| self.master.file(&pending.path))
            .buffered(CALLS_AT_A_TIME)
            .try_collect()
            .await?;
        let mut tried = None;
        for (pending, state) in pending.into_iter().zip(states) {
            let Some(state) = state else { continue };
            if state.persisted {
                session.progress.saved(&pending, now);
                tried = Some(pending).filter(|pending| pending.times > 0).or(tried);
            } else {
                session.progress.pending.push(pending);
            }
        }
        self.ask_again(session, tried.as_ref()).await
    }

    /// Asks again for what another file has overtaken, for one of those that may wait for a command, and for one where
    /// nothing at all moves any more: to ask again makes Alluxio begin anew.
    async fn ask_again(&self, session: &mut Session, tried: Option<&Pending>) -> Result<()> {
        let now = self.clock.now();
        let awaits_command = session
            .stores
            .as_ref()
            .is_some_and(|stores| stores.awaits_command);
        let Progress { flow, pending, .. } = &mut session.progress;
        let mut again = flow.again(pending, tried, awaits_command, now);
        if flow.halted(pending, now) {
            flow.halt(now);
            again.extend(probe(pending));
        }
        again.sort_unstable();
        again.dedup();
        for index in again {
            let asked = &mut pending[index];
            if self.master.persist(&asked.path).await? == Changed::Done {
                asked.asked_at = now;
                asked.times += 1;
            }
        }
        Ok(())
    }
}
