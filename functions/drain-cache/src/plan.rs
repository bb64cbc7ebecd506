//! What a drain would save, how long that would take, and what stands in its way; nothing is changed.

use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use tidegate_domain::cache::{
    Forecast, Found, Holder, Pass, Phase, Progress, Rate, RateMemory, Surroundings, Worker, WorkerState,
    forecast, next_phase,
};
use tidegate_domain::error::Result;
use tidegate_domain::outcome::{Answer, DrainOutcome};
use tidegate_domain::plan::Plan;
use tidegate_domain::ports::{CacheMaster, CacheWorker, Clock, CopyTargets, Nodes, Pods, WorkerReport};
use tidegate_lambda::Call;

use super::DrainCache;
use super::TO_END;
use super::saving::{CALLS_AT_A_TIME, Paged, note_broken};

/// What a plan answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// The worker's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What would be done, and what stands in the way.
    #[serde(flatten)]
    pub plan: Plan,
    /// What a drain would come to; none where there is nothing to drain, or it cannot be seen.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
    /// Files that were broken before, the largest first, as many as there is room for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub broken_files: Vec<String>,
    /// So many more were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_broken_files: Option<u64>,
    /// Why there is no worker to drain; none where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// For the next call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

impl Planned {
    fn answer(self) -> Answer<DrainOutcome, Self> {
        Answer::new(DrainOutcome::Planned, self.plan.reason(), self)
    }

    /// The call's time is up; the next one goes on from here.
    fn go_on(mut self, mut progress: Progress, pass: Pass, found: Found) -> Answer<DrainOutcome, Self> {
        let reason = format!("{} of {} files have been looked at", pass.offset, pass.total);
        progress.pass = Some(pass);
        progress.found = Some(found);
        self.progress = Some(progress);
        Answer::again(DrainOutcome::Waiting, reason, 1, self)
    }
}

impl<Cluster, Master, Workers, C> DrainCache<Cluster, Master, Workers, C>
where
    Cluster: CopyTargets + Nodes + Pods + RateMemory,
    Master: CacheMaster + WorkerReport,
    Workers: CacheWorker,
    C: Clock,
{
    pub(super) async fn plan(
        &self,
        call: &Call,
        progress: Progress,
    ) -> Result<Answer<DrainOutcome, Planned>> {
        let node = self.cluster.find(&call.node, Duration::ZERO).await?;
        let sighting = self.sight(&call.node, node.as_ref()).await?;
        let seen = sighting.workers.first().map(|seen| seen.worker.host.clone());
        let mut planned = Planned {
            host: seen.or_else(|| sighting.addresses().into_iter().next()),
            ..Planned::default()
        };
        match next_phase(&sighting) {
            Phase::Absent(reason) => {
                planned.absent = Some(reason.clone());
                planned.plan = planned.plan.noting(reason);
                Ok(planned.answer())
            }
            Phase::AwaitWorker(reason) => {
                planned.plan = planned.plan.hindered(reason);
                Ok(planned.answer())
            }
            Phase::Save(worker) | Phase::LookAgain(worker) => self.foresee(planned, progress, &worker).await,
        }
    }

    /// Looks through the files, as far as this call comes.
    async fn foresee(
        &self,
        mut planned: Planned,
        mut progress: Progress,
        worker: &Worker,
    ) -> Result<Answer<DrainOutcome, Planned>> {
        let ends = self.clock.now() + Duration::from_secs(self.watch_seconds.into());
        let closes = ends + TO_END;
        let ways = self.ways(&Rc::default()).await?;
        let (mut pass, mut found): (Pass, Found) = (
            progress.pass.take().unwrap_or_default(),
            progress.found.take().unwrap_or_default(),
        );
        loop {
            let began = self.clock.now();
            let page = self.page(&mut progress.page, worker, pass.offset, closes).await?;
            let page = match page {
                Paged::Page(page) => page,
                Paged::Late => return Ok(planned.go_on(progress, pass, found)),
                Paged::Silent => {
                    let silent = format!("worker {} does not tell its files", worker.host);
                    planned.plan = planned.plan.hindered(silent);
                    return Ok(planned.answer());
                }
            };
            let before = (pass.clone(), found.clone());
            let unpersisted: Vec<_> = page.files.iter().filter(|file| !file.persisted).collect();
            for some in unpersisted.chunks(CALLS_AT_A_TIME) {
                if self.clock.now() >= closes {
                    let files = u32::try_from(page.looked).unwrap_or(u32::MAX);
                    let looking = self.clock.now().duration_since(began);
                    progress.page.failed(files, looking);
                    return Ok(planned.go_on(progress, before.0, before.1));
                }
                for (file, state) in some.iter().zip(self.states(some).await?) {
                    let holder = Holder::of(worker, Some(&file.blocks));
                    let verdict = self.judge(&ways, &progress, &file.path, state.as_ref(), holder);
                    let verdict = verdict.await?;
                    note_broken(&mut pass, &file.path, state.as_ref(), &verdict);
                    found.note(state.map_or(0, |state| state.length), &verdict);
                }
            }
            let looking = self.clock.now().duration_since(began);
            progress.page.took(page.looked, looking);
            pass.page(&page);
            if pass.complete(&page) {
                break;
            }
            if self.clock.now() >= ends {
                return Ok(planned.go_on(progress, pass, found));
            }
        }
        let surroundings = self.surroundings(worker).await?;
        let (forecast, plan) = forecast(&found, surroundings);
        planned.plan = plan;
        planned.forecast = Some(forecast);
        planned.broken_files = pass.broken.lines();
        planned.more_broken_files = (pass.broken.more() > 0).then_some(pass.broken.more());
        Ok(planned.answer())
    }

    async fn surroundings(&self, worker: &Worker) -> Result<Surroundings> {
        let every = self.master.every_worker().await?;
        let others = || {
            let live = every.iter().filter(|other| other.state == WorkerState::Live);
            live.filter(|other| other.host != worker.host)
        };
        Ok(Surroundings {
            other_workers: others().count(),
            free_bytes: others()
                .map(|other| other.capacity_bytes.saturating_sub(other.used_bytes))
                .sum(),
            rate: self.cluster.last_rate(&self.namespace).await?,
            refresh_seconds: self.idle_wait.refresh_seconds,
        })
    }

    /// Keeps the rate of this drain for the plans of others. A drain does not fail for that.
    pub(super) async fn remember(&self, progress: &Progress) {
        let Some(rate) = Rate::of(progress) else { return };
        if let Err(error) = self.cluster.note_rate(&self.namespace, &rate).await {
            tracing::warn!(%error, "the rate of this drain could not be kept");
        }
    }
}

#[cfg(test)]
mod tests;
