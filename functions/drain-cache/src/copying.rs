//! Copies of a file's blocks on other workers.

use tidegate_domain::cache::{HeldBlock, Progress, Worker};
use tidegate_domain::error::Result;
use tidegate_domain::ports::{CacheMaster, CacheWorker, Clock, Copied, CopyTargets, CopyWish};

use super::DrainCache;

impl<Cluster: CopyTargets, Master: CacheMaster, Workers: CacheWorker, C: Clock>
    DrainCache<Cluster, Master, Workers, C>
{
    /// Asks for copies of the blocks that only this worker has; `listed` are those that it lists itself, where it was asked.
    pub(super) async fn copy(
        &self,
        progress: &Progress,
        path: &str,
        worker: &Worker,
        listed: Option<&[HeldBlock]>,
    ) -> Result<Copied> {
        let copies = progress.pending.iter().filter(|pending| pending.copy);
        let wish = CopyWish {
            path,
            from: worker,
            listed,
            under_way: copies.map(|pending| pending.bytes).sum(),
            namespace: &self.namespace,
            now: self.clock.now(),
        };
        self.master.copy(&wish, &self.cluster).await
    }
}
