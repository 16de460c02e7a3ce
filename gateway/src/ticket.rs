//! Tickets: what a browser's EventSource, which sends no headers of ours, shows in place of a token.
//!
//! Invariants: a ticket counts where a stream is opened, with GET and without an Authorization header, and nowhere else; it
//! goes to auth alone, which answers it once, and into no log, no error and no other service's request.

use http::header::{AUTHORIZATION, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use petty_chassis::grpc::CallScope;
use petty_proto::auth::v1::RedeemStreamTicketRequest;
use petty_proto::auth::v1::token_service_client::TokenServiceClient;
use petty_proto::policy;

use crate::problem::Problem;
use crate::query::decode_parameter;
use crate::upstream::{Channel, carry, within};

/// The parameter.
const NAME: &str = "ticket";

/// A query without its tickets, and the ticket where there is one that counts.
#[derive(Default)]
pub(crate) struct Query {
    pub(crate) rest: Option<String>,
    pub(crate) ticket: Option<String>,
}

/// Takes the tickets out of the query of a stream. Where there is an Authorization header, that says who is calling, and the
/// ticket stays good; of two tickets, as of two tokens, neither counts.
pub(crate) fn take(parts: &Parts) -> Query {
    let Some(query) = parts.uri.query() else { return Query::default() };
    let mut tickets = Vec::new();
    let mut rest: Vec<&str> = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode_parameter(name).is_some_and(|name| name == NAME) {
            tickets.push(value);
        } else {
            rest.push(pair);
        }
    }
    let counts = parts.method == Method::GET && !parts.headers.contains_key(AUTHORIZATION);
    let ticket = match tickets.as_slice() {
        [ticket] if counts => decode_parameter(ticket).filter(|ticket| !ticket.is_empty()),
        _ => None,
    };
    Query { rest: Some(rest.join("&")), ticket }
}

/// The header of the token that a ticket stands for.
pub(crate) async fn redeem(auth: Channel, ticket: String, scope: &CallScope) -> Result<HeaderValue, Problem> {
    let policy = &policy::TOKEN_SERVICE_REDEEM_STREAM_TICKET;
    let mut client = TokenServiceClient::new(auth);
    let mut request = tonic::Request::new(RedeemStreamTicketRequest { ticket });
    request.set_timeout(policy.deadline);
    carry(request.metadata_mut(), scope);
    let call = async { client.redeem_stream_ticket(request).await };
    let answer = within(policy, scope.clone(), call).await.map_err(|problem| {
        // Bad input of ours was bad input of the client's, who has but one thing to be told.
        if problem.status == StatusCode::BAD_REQUEST { Problem::internal() } else { problem }
    })?;
    let token = answer.into_inner().access_token;
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Problem::internal())?;
    header.set_sensitive(true);
    Ok(header)
}
