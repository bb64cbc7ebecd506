//! The login of a channel: `alluxio.grpc.sasl`.

use futures::stream::{self, StreamExt};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use uuid::Uuid;

use crate::proto::sasl::sasl_authentication_service_client::SaslAuthenticationServiceClient;
use crate::proto::sasl::{ChannelAuthenticationScheme, SaslMessage, SaslMessageType};

/// How a master wants to be logged in to: its `alluxio.security.authentication.type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// `SIMPLE`, Alluxio's default: the master believes the user name.
    Simple {
        /// The Alluxio user that acts. Persisting the files of others needs write permission on them: the
        /// user that runs Alluxio, or one of its supergroup.
        user: String,
    },
    /// `NOSASL`: no login.
    NoSasl,
}

/// A channel's login. The master logs the channel out as soon as the stream is closed, so it lives as long as this.
pub(crate) struct LoggedIn {
    channel_id: Option<MetadataValue<Ascii>>,
    _stream: Option<Streaming<SaslMessage>>,
}

impl LoggedIn {
    /// A request that says whose it is.
    pub(crate) fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        if let Some(id) = &self.channel_id {
            request.metadata_mut().insert("channel-id", id.clone());
        }
        request
    }
}

/// Logs in. The status of a refusal is the master's.
pub(crate) async fn log_in(channel: &Channel, login: &Login) -> Result<LoggedIn, Status> {
    let Login::Simple { user } = login else {
        return Ok(LoggedIn {
            channel_id: None,
            _stream: None,
        });
    };
    let id = Uuid::new_v4().to_string();
    let hello = SaslMessage {
        message_type: Some(SaslMessageType::Challenge.into()),
        // RFC 4616: no authorization identity, the user, a password. The master wants one that is not empty and
        // does not look at it.
        message: Some(format!("\0{user}\0noPassword").into_bytes()),
        client_id: Some(id.clone()),
        authentication_scheme: Some(ChannelAuthenticationScheme::Simple.into()),
    };
    let open = stream::once(async { hello }).chain(stream::pending());
    let mut answers = SaslAuthenticationServiceClient::new(channel.clone())
        .authenticate(open)
        .await?
        .into_inner();
    let answer = answers.message().await?;
    if answer.is_none_or(|answer| answer.message_type() != SaslMessageType::Success) {
        return Err(Status::unauthenticated(
            "the login was answered with something else than success",
        ));
    }
    let channel_id = MetadataValue::try_from(id).map_err(|error| Status::internal(error.to_string()))?;
    Ok(LoggedIn {
        channel_id: Some(channel_id),
        _stream: Some(answers),
    })
}
