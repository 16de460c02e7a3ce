//! A stream to a client out of an upstream's: opening it, and each message as it comes, in the form that the client wants.
//!
//! Invariant: what an upstream refuses at once is an answer of its own status.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::uri::PathAndQuery;
use prost::Message;
use serde::Serialize;
use tonic::client::Grpc;
use tonic::{Status, Streaming};
use tonic_types::StatusExt as _;

use crate::codec::Lean;
use crate::form::Form;
use crate::problem::Problem;
use crate::status;
use crate::upstream::{Exchange, RequestMessage, request, within};

/// The largest message that is taken from an upstream's stream: several of them wait for each client.
const MOST_UPDATE_BYTES: usize = 1 << 20;

/// How long an upstream that opened its stream is given to refuse it all the same, before the client is told that it is open.
const FIRST: Duration = Duration::from_millis(50);

/// The reason of a service that goes away.
const DRAINING: &str = "DRAINING";

/// A message that is streamed; implemented by the generated code.
pub(crate) trait Update {
    /// What a client comes back with.
    fn id(&self) -> &str {
        ""
    }

    /// The event's name.
    fn event(&self) -> &'static str {
        "message"
    }
}

/// The events of a stream, as they come.
pub(crate) type Frames = BoxStream<'static, Result<Bytes, End>>;

/// Why an upstream's stream ended before its time.
#[derive(Debug)]
pub(crate) enum End {
    /// It goes away; another, or the same a moment later, takes up where it was.
    Going,
    /// For this reason.
    Problem(Problem),
}

/// Decodes, opens the upstream's stream, and encodes what comes.
pub(crate) async fn open<Req, Resp>(exchange: Exchange) -> Result<Frames, Problem>
where
    Req: RequestMessage,
    Resp: Message + Serialize + Update + Default + 'static,
{
    let (policy, form) = (exchange.route.policy, exchange.form);
    let request = request::<Req>(&exchange)?;
    let mut client = Grpc::new(exchange.channel).max_decoding_message_size(MOST_UPDATE_BYTES);
    let call = std::pin::pin!(async {
        client.ready().await?;
        let path = PathAndQuery::from_static(policy.path);
        let response = client.server_streaming(request, path, Lean::<Req, Resp>::default()).await?;
        let mut updates = response.into_inner();
        let first = tokio::time::timeout(FIRST, updates.next()).await.ok();
        if let Some(Some(Err(status))) = first {
            return Err(status);
        }
        Ok((first, updates))
    });
    let (first, updates): (_, Streaming<Resp>) = within(policy, exchange.scope, call).await?;
    Ok(match first {
        // Open, and nothing has come yet.
        None => updates.map(move |update| encode(form, update)).boxed(),
        Some(None) => futures::stream::empty().boxed(),
        Some(Some(first)) => {
            futures::stream::iter([first]).chain(updates).map(move |update| encode(form, update)).boxed()
        }
    })
}

fn encode<M: Serialize + Update>(form: Form, update: Result<M, Status>) -> Result<Bytes, End> {
    let update = update.map_err(|status| end(&status))?;
    let json = serde_json::to_vec(&update).map_err(|error| {
        tracing::error!(%error, "an upstream's message has no JSON");
        End::Problem(Problem::internal())
    })?;
    Ok(form.message(update.id(), update.event(), &json))
}

/// What the status at the end of a stream means.
fn end(status: &Status) -> End {
    if status.get_details_error_info().is_some_and(|info| info.reason == DRAINING) {
        return End::Going;
    }
    if status.details().is_empty() {
        // No service of ours ends a stream without saying why: the connection to it broke.
        tracing::warn!(grpc.code = ?status.code(), "the connection to an upstream's stream broke");
        return End::Problem(status::problem(&Status::unavailable("the connection broke")));
    }
    End::Problem(status::problem(status))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use petty_chassis::{ApiError, Code};
    use petty_proto::timeline::v1::{TimelineUpdate, timeline_update::Type};

    use super::*;

    fn text(id: &str, kind: Type) -> String {
        let update = TimelineUpdate { id: id.to_owned(), r#type: kind.into(), entry: None };
        String::from_utf8(encode(Form::Events, Ok(update)).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn an_event_has_the_messages_id_its_type_and_its_json() {
        assert_eq!(
            text("7", Type::Ready),
            "id: 7\nevent: ready\ndata: {\"id\":\"7\",\"type\":\"READY\"}\n\n"
        );
        assert!(text("8", Type::Resync).contains("\nevent: resync\n"));
        assert!(text("", Type::Entry).starts_with("event: entry\n"));
        assert!(text("8", Type::Unspecified).contains("event: message\n"));
        assert!(text("8\nevent: forged", Type::Entry).starts_with("event: entry\ndata: "));
    }

    #[test]
    fn what_ends_a_stream_is_told_by_its_reason() {
        let draining = ApiError::new(Code::Unavailable, "DRAINING", "going");
        assert!(matches!(end(&draining.into()), End::Going));
        let expired = ApiError::unauthenticated("TOKEN_EXPIRED", "expired");
        let End::Problem(problem) = end(&expired.into()) else { panic!("it goes nowhere") };
        assert_eq!((problem.status, problem.code.as_ref()), (StatusCode::UNAUTHORIZED, "TOKEN_EXPIRED"));
        for code in [tonic::Code::Unknown, tonic::Code::Internal, tonic::Code::Cancelled] {
            let End::Problem(problem) = end(&Status::new(code, "h2 protocol error: 10.0.0.7")) else {
                panic!("it goes nowhere")
            };
            assert_eq!((problem.status.as_u16(), problem.code.as_ref()), (503, "UNAVAILABLE"));
            assert!(!problem.detail.contains("10.0"));
        }
    }
}
