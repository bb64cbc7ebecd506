//! Auto Scaling, where the API server is by EKS, the EKS login, and executions of Step Functions.
//!
//! Wiring of a function:
//!
//! ```no_run
//! # async fn wire() -> tidegate_domain::error::Result<()> {
//! let aws = tidegate_aws::configuration().await;
//! let groups = tidegate_aws::Groups::new(&aws);
//! let cluster = tidegate_aws::EksCluster::new(&aws, "cluster");
//! let login = tidegate_aws::EksLogin::from_environment("us-west-2", "cluster");
//! let token = login.token(None).await?;
//! # Ok(())
//! # }
//! ```

mod auto_scaling;
mod configuration;
mod drains;
mod eks;
mod errors;
mod executions;
mod group_listing;
mod launches;
mod login;
mod running;
mod teardown;

pub use auto_scaling::Groups;
pub use configuration::configuration;
pub use drains::ListedDrains;
pub use eks::EksCluster;
pub use errors::{classify, told};
pub use executions::{Machines, StepFunctions};
pub use group_listing::GroupListing;
pub use launches::JoinHistory;
pub use login::EksLogin;
pub use running::RunningExecutions;
pub use teardown::OtherMachines;
