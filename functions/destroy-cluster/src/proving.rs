//! Nothing of the cluster is left that costs money.

use jiff::SignedDuration;
use tidegate_domain::bootstrap::KnownClusters;
use tidegate_domain::destroy::{Remain, Remains, left};
use tidegate_domain::drift::GroupsView;
use tidegate_domain::error::Result;
use tidegate_domain::outcome::DestroyOutcome;
use tidegate_domain::ports::Clock;

use crate::{DestroyCluster, Neighbours, Session};

/// What EC2 and Auto Scaling tell may be so old.
const LAG: SignedDuration = SignedDuration::from_mins(3);
/// What goes by itself is waited for so long.
const GOING: SignedDuration = SignedDuration::from_mins(30);

impl<N: Neighbours> DestroyCluster<N> {
    /// What the stack had in it is gone with the stack: it could not be deleted while anything is in its network, such as a
    /// load balancer. What others made beside it is asked for by the cluster's tags.
    pub(crate) async fn prove(&self, session: &mut Session) -> Result<(DestroyOutcome, String)> {
        let name = &self.cluster_name;
        let Some(stack) = &self.stack_name else {
            let reason =
                format!("nothing of ours is left in cluster {name}, which stays: it has no stack of ours");
            return Ok((DestroyOutcome::Destroyed, reason));
        };
        let remains = self.remains(session).await?;
        if remains.is_empty() {
            let reason = format!(
                "cluster {name} and stack {stack} are gone, and nothing that carries their tags is left"
            );
            return Ok((DestroyOutcome::Destroyed, reason));
        }
        let (told, going) = left(&remains);
        let since = *session.progress.proving_since.get_or_insert(self.clock.now());
        let reason = format!("stack {stack} is gone, and {} is left: {}", name, told.join(", "));
        session.facts.left = told;
        let patience = if going { GOING } else { LAG };
        if self.clock.now().duration_since(since) < patience {
            return Ok((DestroyOutcome::Waiting, reason));
        }
        Ok((DestroyOutcome::Incomplete, reason))
    }

    async fn remains(&self, session: &Session) -> Result<Vec<Remain>> {
        let mut remains = Vec::new();
        if let Some(stack) = session.stack.as_ref().filter(|stack| !stack.gone()) {
            remains.push(Remain {
                kind: "stack",
                id: self.stack_name.clone().unwrap_or_default(),
                state: stack.status.clone(),
            });
        }
        if let Some(cluster) = self.eks.cluster().await? {
            remains.push(Remain {
                kind: "cluster",
                id: self.cluster_name.clone(),
                state: cluster.status,
            });
        }
        let groups = self.groups.groups(&self.group_names).await?;
        remains.extend(
            groups
                .into_iter()
                .filter(|group| group.exists)
                .map(|group| Remain {
                    kind: "Auto Scaling group",
                    id: group.name,
                    state: "there".to_owned(),
                }),
        );
        remains.extend(self.ec2.remains(&self.cluster_name).await?);
        Ok(remains)
    }
}
