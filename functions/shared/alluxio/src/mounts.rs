//! What is mounted where.

use std::collections::BTreeMap;

use tidegate_domain::error::Result;

use crate::master::AlluxioMaster;
use crate::proto::file::GetMountTablePRequest;

impl AlluxioMaster {
    /// The mount points, and whether each is read-only.
    pub(crate) async fn mounts(&self) -> Result<BTreeMap<String, bool>> {
        let answer = self
            .file_system(async |mut client, session| {
                // Without asking the stores themselves, any of which may be slow.
                let request = GetMountTablePRequest {
                    check_ufs: Some(false),
                };
                client.get_mount_table(session.request(request)).await
            })
            .await
            .map_err(|failure| self.error(failure, "tell what is mounted"))?;
        let mounts = answer.mount_points.into_iter();
        Ok(mounts.map(|(path, info)| (path, info.read_only())).collect())
    }
}
