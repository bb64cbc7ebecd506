//! Which of the masters is the primary, for a reader.

use std::collections::BTreeMap;

use tidegate_domain::bootstrap::{MasterRole, MasterRoles};
use tidegate_domain::error::Result;

use crate::error::is_from_server;
use crate::master::AlluxioMaster;

impl MasterRoles for AlluxioMaster {
    async fn master_roles(&self) -> Result<BTreeMap<String, MasterRole>> {
        let said = self.connection().everyone().await;
        let said = said.map_err(|failure| self.error(failure, "tell who serves"))?;
        let role = |answer: &std::result::Result<_, _>| match answer {
            Ok(_) => MasterRole::Primary,
            Err(status) if is_from_server(status) => MasterRole::Standby,
            Err(_) => MasterRole::Silent,
        };
        Ok(said
            .into_iter()
            .map(|said| (said.address, role(&said.answer)))
            .collect())
    }
}
