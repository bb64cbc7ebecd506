//! Every cache is saved, taken out of service, and looked at again: as in a drain, but all of them at once, as there is no
//! other worker that could take anything over.

use futures::future::join_all;
use tidegate_domain::bootstrap::Objects;
use tidegate_domain::cache::{Idle, Worker};
use tidegate_domain::destroy::{Caches, Progress, Round, Settled, Teardown, caches, mark, with_losses};
use tidegate_domain::error::{ErrorName, Result};
use tidegate_domain::ports::{CacheMaster, CacheWorker, Changed, Clock, WorkerReport};

use crate::looking::Looked;
use crate::quiet::record;
use crate::{BETWEEN_LOOKS, DestroyCluster, Neighbours, Session, Step};

impl<N: Neighbours> DestroyCluster<N> {
    /// Until nothing on any cache is the only copy, and none is in service; as far as this call comes.
    pub(crate) async fn save_caches(&self, session: &mut Session, cluster: &N::Cluster) -> Result<Step> {
        let mut waited = None;
        loop {
            let step = self.cache_step(session, cluster).await?;
            let over = self.clock.now() >= session.ends;
            match step {
                Step::Onward if !over => {}
                // Between two waits there are steps that need none: what was waited for says more.
                Step::Onward => return Ok(waited.map_or(Step::Onward, Step::NotYet)),
                Step::NotYet(reason) if !over => {
                    waited = Some(reason);
                    self.clock.sleep(BETWEEN_LOOKS).await;
                }
                other => return Ok(other),
            }
        }
    }

    async fn cache_step(&self, session: &mut Session, cluster: &N::Cluster) -> Result<Step> {
        let found = match self.find_caches(session, cluster).await? {
            Ok(found) => found,
            Err(unseen) => {
                session.progress.unseen.extend(unseen);
                return Ok(Step::Done);
            }
        };
        if found.gone() {
            return Ok(Step::Done);
        }
        if !found.live.is_empty() {
            return self.save(session, cluster, &found).await;
        }
        if !found.awaited.is_empty() {
            if !session.gives_up {
                return Ok(Step::NotYet(found.awaited.join("; ")));
            }
            session.progress.unseen.clone_from(&found.awaited);
            if found.out_of_service.is_empty() {
                return Ok(Step::Done);
            }
        }
        self.look_again(session, cluster, &found.out_of_service).await
    }

    /// The caches; where they cannot be found and that is as good as if there were none, what is not known of them.
    pub(crate) async fn find_caches(
        &self,
        session: &Session,
        cluster: &N::Cluster,
    ) -> Result<std::result::Result<Caches, Vec<String>>> {
        let pods = cluster.worker_pods(&self.scope.namespace).await?;
        if pods.is_empty() && !session.masters_go {
            return Ok(Ok(Caches::default()));
        }
        match self.master.every_worker().await {
            Ok(workers) => Ok(Ok(caches(&pods, &workers, session.masters_go))),
            // No pod holds anything, so masters that do not answer any more know of nothing.
            Err(error) if error.name == ErrorName::AlluxioUnavailable && pods.is_empty() => {
                Ok(Err(Vec::new()))
            }
            Err(error) if error.name == ErrorName::AlluxioUnavailable && session.gives_up => {
                Ok(Err(vec![error.message]))
            }
            Err(error) => Err(error),
        }
    }

    /// Caches in service: rounds through their files, and after the second clean one in a row they go out of service.
    async fn save(&self, session: &mut Session, cluster: &N::Cluster, found: &Caches) -> Result<Step> {
        session.progress.turn(false);
        session.looks.clear();
        session.looked_again = false;
        let round = match self.look(session, &found.live, found.settled(), true).await? {
            Looked::Whole(round) => round,
            Looked::Part => return Ok(Step::Onward),
            Looked::Silent(reason) => return Ok(Step::NotYet(reason)),
        };
        self.await_pending(session).await?;
        if let Some(reason) = stops(session, &round) {
            return Ok(Step::Stop(reason));
        }
        let clean = is_clean(session, &round) && (session.gives_up || round.unnamed_files == 0);
        if !session.progress.passed(clean) {
            return Ok(if clean {
                Step::Onward
            } else {
                Step::NotYet(unsafe_files(&round))
            });
        }
        if !found.awaited.is_empty() && !session.gives_up {
            return Ok(Step::NotYet(found.awaited.join("; ")));
        }
        let settled = found.settled() == Settled::Yes;
        session.progress.settled_at = round.began_at.filter(|_| settled);
        session.progress.lost = round.lost();
        session.progress.broken = round.broken;
        session.progress.unseen = round.unseen;
        self.note_losses(session, cluster).await?;
        for worker in &found.live {
            if self.master.decommission(worker).await? == Changed::Conflict {
                return Ok(Step::NotYet(format!(
                    "worker {} is just registering",
                    worker.host
                )));
            }
            session
                .facts
                .changed
                .push(format!("worker {} is out of service", worker.host));
        }
        session.progress.turn(true);
        session.progress.out_since = Some(self.clock.now());
        Ok(Step::Onward)
    }

    /// Caches out of service may still have been written to: a look at what they hold, the wait for their clients, and
    /// then the look that counts. A file that raced is on such a worker and nowhere else, and the master can do nothing
    /// with it until the worker registers again, which it does by itself.
    async fn look_again(
        &self,
        session: &mut Session,
        cluster: &N::Cluster,
        workers: &[Worker],
    ) -> Result<Step> {
        session.progress.turn(true);
        let now = self.clock.now();
        let since = *session.progress.out_since.get_or_insert(now);
        let waits = || {
            let count = workers.len();
            Step::NotYet(format!(
                "{count} workers are out of service, their clients are not done"
            ))
        };
        if session.progress.round.is_none() {
            let loads = join_all(workers.iter().map(|worker| self.workers.load(worker))).await;
            let mut done = true;
            for (worker, load) in workers.iter().zip(loads) {
                let looks = session.looks.entry(worker.host.clone()).or_default();
                looks.push(load?);
                done &= self.idle_wait.judge(since, looks, now) != Idle::NotYet;
            }
            if !done && session.looked_again {
                return Ok(waits());
            }
            session.progress.clients_done = done;
        }
        let settled = session
            .progress
            .settled_at
            .map_or(Settled::No, |look| Settled::Before { look, named: false });
        let round = match self.look(session, workers, settled, true).await? {
            Looked::Whole(round) => round,
            Looked::Part => return Ok(Step::Onward),
            Looked::Silent(reason) => return Ok(Step::NotYet(reason)),
        };
        session.looked_again = true;
        if let Some(reason) = stops(session, &round) {
            return Ok(Step::Stop(reason));
        }
        if !is_clean(session, &round) {
            return Ok(Step::NotYet(unsafe_files(&round)));
        }
        if !session.progress.clients_done {
            return Ok(waits());
        }
        // A file with copies on several workers counts on each of them now, so the earlier count is kept unless there are
        // more.
        let lost = round.lost();
        let more = lost.files > session.progress.lost.files;
        if more {
            session.progress.lost = lost;
        }
        if session.progress.broken.files == 0 {
            session.progress.broken = round.broken;
        }
        for unseen in round.unseen {
            if !session.progress.unseen.contains(&unseen) {
                session.progress.unseen.push(unseen);
            }
        }
        if more {
            self.note_losses(session, cluster).await?;
        }
        Ok(Step::Done)
    }

    /// Before they are lost: an execution that is cut off cannot tell it any more, and the next one does not find them.
    async fn note_losses(&self, session: &Session, cluster: &N::Cluster) -> Result<()> {
        let Progress { lost, unseen, .. } = &session.progress;
        if lost.files > 0 || !unseen.is_empty() {
            let record = Objects::get(cluster, &record()).await?;
            let marked = mark(record.as_ref(), self.clock.now());
            Objects::apply(cluster, &with_losses(marked, lost, unseen)).await?;
        }
        Ok(())
    }
}

fn is_clean(session: &Session, round: &Round) -> bool {
    round.clean(session.request.accept_data_loss, session.gives_up)
}

/// What no waiting saves, where its loss is not accepted.
fn stops(session: &Session, round: &Round) -> Option<String> {
    let stops = round.never.files > 0 && !session.request.accept_data_loss;
    stops.then(|| {
        format!(
            "{} can never be saved: copy them away, delete them, or accept their loss with \"acceptDataLoss\": true",
            round.never.told()
        )
    })
}

fn unsafe_files(round: &Round) -> String {
    let mut parts = Vec::new();
    if round.persist.files > 0 {
        parts.push(format!(
            "{} files ({} bytes) are being written to the under store",
            round.persist.files, round.persist.bytes
        ));
    }
    if round.not_yet.files > 0 {
        parts.push(format!("{} are not safe yet", round.not_yet.told()));
    }
    if parts.is_empty() {
        let files = round.elsewhere + round.never_elsewhere + round.unnamed_files;
        parts.push(format!(
            "{files} files are moving, and have to be looked at again"
        ));
    }
    parts.join("; ")
}
