//! From a WebSocket's handshake to the socket.

use std::sync::Arc;

use http::Response;
use http::request::Parts;
use petty_chassis::grpc::CallScope;
use petty_proto::policy::{self, RateClass};

use super::{Edge, known_as};
use crate::answer::AnswerBody;
use crate::problem::Problem;
use crate::quota::{Standing, Who};
use crate::routes::ROUTES;
use crate::socket::{Handshake, Opener, Socket};
use crate::ticket;

impl Edge {
    /// The answer to a handshake. Its policy is that of a pet's stream, of which a socket is many.
    pub(super) async fn socket(
        &self,
        parts: &Parts,
        scope: CallScope,
        standing: &mut Option<Standing>,
    ) -> Result<Response<AnswerBody>, Problem> {
        let policy = &policy::TIMELINE_SERVICE_STREAM_TIMELINE;
        let route = ROUTES.iter().find(|route| route.policy == policy).ok_or_else(Problem::internal)?;
        self.source(parts, &scope, standing).await?;
        // Taken before a ticket is used up in vain.
        let place = self.streams.place()?;
        let ticket = ticket::take(parts).ticket;
        let (caller, authorization) = self.caller(parts, policy, ticket, &scope).await?;
        let caller = caller.ok_or_else(Problem::internal)?;
        let subject = known_as(&caller);
        let taken = self.quotas.take(RateClass::Read, Who::Caller(&subject)).await;
        *standing = taken.map_err(|refused| refused.leaving(standing))?;
        let handshake = Handshake::of(parts)?;
        let channel = self.upstream(route.upstream)?;
        let openings = self.upstreams.openings(route.upstream)?;
        let socket = Socket {
            opener: Arc::new(Opener { route, channel, openings, subject, authorization, scope }),
            quotas: Arc::clone(&self.quotas),
            presence: self.presence.clone(),
            clock: self.clock.clone(),
            expires_at: caller.expires_at(),
            heartbeat: self.limits.heartbeat,
            patience: self.limits.write_timeout,
            tasks: self.tasks.clone(),
            shutdown: self.shutdown.clone(),
            place,
        };
        Ok(handshake.finish(socket, &self.tasks))
    }
}
