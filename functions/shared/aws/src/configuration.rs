//! How the SDK behaves in all functions.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

/// Within a region a connection takes milliseconds; longer means that it will not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The slowest call in use (`DescribeInstanceTypes`) takes well under a second.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Two attempts of full length and the pause between them: a function has 30 s for everything, and the state machine
/// tries again after that.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(12);

/// The SDK's configuration: region, credentials and endpoints from the environment, as on any machine.
pub async fn configuration() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .retry_config(RetryConfig::standard())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .operation_timeout(OPERATION_TIMEOUT)
                .build(),
        )
        .load()
        .await
}
