//! Events that were not told here yet, asked of behavior.

use async_trait::async_trait;
use petty_chassis::ApiError;
use petty_chassis::grpc::Channel;
use petty_proto::behavior::v1 as wire;
use petty_proto::behavior::v1::behavior_service_client::BehaviorServiceClient;
use tonic::Code;

/// Where that is asked: behavior's RPC, or a test's table.
#[async_trait]
pub trait EpisodeSource: Send + Sync + 'static {
    /// The episode of an id, or what stands in its place where it is superseded; `None` where there is no such episode (any
    /// more).
    ///
    /// # Errors
    /// `EVENT_UNKNOWN`, unavailable, where nobody could be asked.
    async fn describe(&self, episode_id: &str) -> Result<Option<wire::Episode>, ApiError>;
}

/// Asks behavior.
#[derive(Debug)]
pub struct RemoteEpisodes {
    client: BehaviorServiceClient<Channel>,
}

impl RemoteEpisodes {
    /// Over a channel to behavior.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self { client: BehaviorServiceClient::new(channel) }
    }
}

#[async_trait]
impl EpisodeSource for RemoteEpisodes {
    async fn describe(&self, episode_id: &str) -> Result<Option<wire::Episode>, ApiError> {
        let request = wire::DescribeEpisodeRequest { episode_id: episode_id.to_owned() };
        match self.client.clone().describe_episode(request).await {
            Ok(answer) => Ok(Some(answer.into_inner())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            // Whatever else behavior says is no fault of the caller's: they may try again.
            Err(status) => Err(ApiError::unavailable("EVENT_UNKNOWN", status)),
        }
    }
}
