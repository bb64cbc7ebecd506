//! Wires `resolve-node` to the Lambda runtime.

use std::process::ExitCode;

use resolve_node::ResolveNode;
use tidegate_domain::resolve::Scope;
use tidegate_lambda::{Settings, serve};

const FUNCTION: &str = "resolve-node";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    serve(FUNCTION, async || {
        let settings = Settings::from_environment();
        let aws = tidegate_aws::configuration().await;
        Ok(ResolveNode {
            groups: tidegate_aws::Groups::new(&aws),
            instances: tidegate_ec2::Ec2::new(&aws),
            api_servers: tidegate_aws::EksCluster::new(&aws, &settings.text("CLUSTER_NAME")?),
            scope: Scope {
                groups: settings.list("AUTO_SCALING_GROUPS")?,
                array_groups: settings.optional_list("ARRAY_GROUPS")?,
                memory_caches: settings.number::<u32>("MEMORY_TIER_MIB")? > 0,
                join_hook: settings.text("JOIN_HOOK_NAME")?,
                drain_hook: settings.text("DRAIN_HOOK_NAME")?,
                join_limit_seconds: settings.number("JOIN_LIMIT_SECONDS")?,
                drain_limit_seconds: settings.number("DRAIN_LIMIT_SECONDS")?,
                announced_evict_limit_seconds: settings.number("ANNOUNCED_EVICT_LIMIT_SECONDS")?,
                drains_on_rebalance: settings.switch("DRAIN_ON_REBALANCE")?,
            },
        })
    })
    .await
}
