//! Sets right. Each repair is decided on what was seen, and refused where that has changed since.

use jiff::Timestamp;
use tidegate_domain::drift::{
    ClusterView, ExecutionsView, GroupsView, LifecycleActions, Next, Repair, Search, Start, Talk,
    WorkersView, changed_since, execution_name, node_of,
};
use tidegate_domain::error::Result;
use tidegate_domain::node::{Node, NodeChange, Volume};
use tidegate_domain::ports::{Changed, Clock, Instances, Nodes, Volumes};

use crate::CheckDrift;

impl<Groups, Ec2, Machines, Cluster, Master, C> CheckDrift<Groups, Ec2, Machines, Cluster, Master, C>
where
    Groups: GroupsView + LifecycleActions,
    Ec2: Instances,
    Machines: ExecutionsView,
    Cluster: ClusterView + Nodes + Volumes,
    Master: WorkersView,
    C: Clock,
{
    pub(crate) async fn repair(&self, repair: &Repair, now: Timestamp) -> Result<Talk> {
        Ok(match repair {
            Repair::Execution(start) => self.start(start, now).await?,
            Repair::ChangeNode { node, change, words } => self.change_node(node, change, words).await?,
            Repair::DeleteOrphan(volume) => self.delete_orphan(volume).await?,
            Repair::DeleteReleased(volume) => talk(Volumes::delete(&self.cluster, volume).await?, "deleted"),
            Repair::ForgetWorker(worker) => talk(self.master.forget(worker).await?, "forgotten"),
            Repair::PutHook { group, hook } => {
                self.groups.put_hook(group, hook).await?;
                Talk::Done(format!(
                    "put: {} s, {}",
                    hook.heartbeat_seconds, hook.default_result
                ))
            }
            Repair::Retain(group) => {
                self.groups.retain(group).await?;
                Talk::Done("the group retains from now on".into())
            }
            Repair::EnableRule(_) => Talk::Done("enabled by the state machine after this report".into()),
            Repair::Apply(object) => {
                self.cluster.apply(object).await?;
                Talk::Done("applied as recorded".into())
            }
            Repair::Nothing(why) => Talk::Left(why.clone()),
            Repair::Unneeded(why) => Talk::Unneeded(why.clone()),
        })
    }

    /// Starts the next attempt under its own name. The name is what makes a second start impossible: two checks at once
    /// find the same number.
    async fn start(&self, start: &Start, now: Timestamp) -> Result<Talk> {
        let (direction, instance) = (start.direction, start.instance.as_str());
        let mut search = Search::default();
        while let Some(number) = search.next() {
            let name = execution_name(direction, instance, number);
            search.found(number, self.machines.attempt(direction, &name).await?);
        }
        let attempts = search.attempts();
        let next = attempts.next(now);
        let succeeded = attempts
            .last
            .as_ref()
            .is_some_and(|last| last.status == "SUCCEEDED");
        // Asked only where the answer decides something: it is a heartbeat too, and would hold an instance whose attempts
        // fail.
        if let Some(hook) = &start.only_while
            && (succeeded || matches!(next, Next::Start(_)))
            && !self.groups.waits(hook, instance).await?
        {
            return Ok(Talk::Unneeded(format!(
                "hook {} is completed or has run out: another hook of group {} holds the instance",
                hook.name, hook.group
            )));
        }
        Ok(match next {
            Next::Start(number) => {
                let name = execution_name(direction, instance, number);
                if self.machines.start(direction, &name, &start.input()).await? {
                    Talk::Done(format!("started {name}"))
                } else {
                    Talk::Left(format!("{name} was started by another check"))
                }
            }
            Next::Running(number) => Talk::Left(format!(
                "{} works on it",
                execution_name(direction, instance, number)
            )),
            Next::Pause(seconds) => Talk::Left(format!(
                "attempt {} ended as {}; the next one in {seconds} s at the earliest",
                attempts.number,
                attempts.last.map_or_else(String::new, |last| last.status)
            )),
        })
    }

    /// Changes a node that is as it was judged. It is looked at again for that: the version that a change is conditional
    /// on moves with each heartbeat of its kubelet.
    async fn change_node(&self, judged: &Node, change: &NodeChange, words: &str) -> Result<Talk> {
        const ATTEMPTS: u32 = 3;
        for _ in 0..ATTEMPTS {
            let Some(now) = self.cluster.node(&judged.name).await? else {
                return Ok(talk(Changed::Gone, words));
            };
            if let Some(what) = changed_since(judged, &now.node) {
                return Ok(Talk::Left(format!(
                    "{what} since it was looked at: the next check decides again"
                )));
            }
            match self.cluster.change(&now.node, change).await? {
                Changed::Conflict => {}
                changed => return Ok(talk(changed, &format!("{words}: done"))),
            }
        }
        Ok(talk(Changed::Conflict, words))
    }

    /// Deletes a volume, unless a node has one of its names after all. Names are used again, UIDs are not.
    async fn delete_orphan(&self, volume: &Volume) -> Result<Talk> {
        let (names, uid) = node_of(volume);
        for name in names {
            if let Some(found) = self.cluster.node(name).await?
                && uid.is_none_or(|uid| uid == found.node.uid)
            {
                return Ok(Talk::Left(format!("node {name} is there")));
            }
        }
        Ok(talk(Volumes::delete(&self.cluster, volume).await?, "deleted"))
    }
}

fn talk(changed: Changed, done: &str) -> Talk {
    match changed {
        Changed::Done => Talk::Done(done.to_owned()),
        Changed::Gone => Talk::Left("it is gone by now".into()),
        Changed::Conflict => {
            Talk::Left("it has changed since it was looked at: the next check decides again".into())
        }
    }
}
