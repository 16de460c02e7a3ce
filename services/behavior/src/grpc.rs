//! What the behavior service answers.

pub(crate) mod convert;
mod page;

use petty_chassis::grpc::gate::{BehaviorServiceHandler, Call};
use petty_chassis::postgres::Db;
use petty_chassis::types::Clock;
use petty_chassis::{ApiError, FieldError};
use petty_proto::behavior::v1 as wire;

use crate::store::episodes::{self, Cursor};

/// Answers `BehaviorService`.
#[derive(Debug)]
pub struct Grpc {
    db: Db,
    clock: Clock,
}

impl Grpc {
    /// From the service's own database.
    #[must_use]
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock }
    }
}

#[tonic::async_trait]
impl BehaviorServiceHandler for Grpc {
    async fn list_behaviors(
        &self,
        call: Call,
        request: wire::ListBehaviorsRequest,
    ) -> Result<wire::ListBehaviorsResponse, ApiError> {
        let asked = page::Asked {
            start_time: request.start_time,
            end_time: request.end_time,
            page_size: request.page_size,
            page_token: &request.page_token,
        };
        let page = &page::parse(&asked, self.clock.now())?;
        let access = call.pet().await?;
        // One more than is answered, to know whether there is a next page.
        let window = &page.window(1);
        let mut found = self
            .db
            .read("list_behaviors", |tx| async move {
                episodes::list(&tx, access.pet_id, window).await.map_err(ApiError::from)
            })
            .await?;
        let more = found.len() > page.size;
        found.truncate(page.size);
        let last = found.last().filter(|_| more);
        let next_page_token = last.map(|last| page.token(Cursor { start_at: last.start_at, id: last.id }));
        Ok(wire::ListBehaviorsResponse {
            episodes: found.into_iter().map(convert::episode).collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        })
    }

    async fn get_behavior(
        &self,
        call: Call,
        request: wire::GetBehaviorRequest,
    ) -> Result<wire::Episode, ApiError> {
        if request.episode_id.is_empty() {
            return Err(FieldError::required("episode_id").into());
        }
        let id = convert::parse_episode_id(&request.episode_id).ok_or_else(|| {
            FieldError::malformed("episode_id", "must be \"evt_\" and 32 hexadecimal digits")
        })?;
        let access = call.pet().await?;
        let found = self
            .db
            .read("get_behavior", |tx| async move {
                episodes::find(&tx, access.pet_id, id).await.map_err(ApiError::from)
            })
            .await?;
        found.map(convert::episode).ok_or_else(|| ApiError::not_found("EPISODE_NOT_FOUND", "no such episode"))
    }
}
