//! From a request on a route to what the service answers.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body::Body;
use petty_chassis::caller::{Caller, Unfit};
use petty_chassis::grpc::CallScope;
use petty_proto::policy::{Audience, MethodPolicy};
use tonic::Status;

use super::{Edge, header, known_as};
use crate::answer::AnswerBody;
use crate::body::{self, Bounds, Content};
use crate::form::{self, Form};
use crate::last_known::Old;
use crate::personal;
use crate::problem::{FieldFault, Problem};
use crate::quota::{Standing, Who};
use crate::routes::{Route, Verb, Way};
use crate::upload;
use crate::upstream::{Answer, Channel, Exchange};
use crate::{etag, headers, origin, status, ticket};

impl Edge {
    /// The answer on this route. How the caller's quota stands is left in `standing`, whatever the answer.
    pub(super) async fn translate<B>(
        &self,
        route: &'static Route,
        fields: Result<Vec<(&'static str, String)>, &'static str>,
        parts: &Parts,
        body: &mut B,
        scope: CallScope,
        standing: &mut Option<Standing>,
    ) -> Result<Response<AnswerBody>, Problem>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let policy = route.policy;
        let source = self.source(parts, &scope, standing).await?;
        let streams = matches!(route.way, Way::Stream(_));
        // Taken before a ticket is used up in vain.
        let place = if streams { Some(self.streams.place()?) } else { None };
        let ticket::Query { rest: query, ticket } = if streams {
            ticket::take(parts)
        } else {
            ticket::Query { rest: parts.uri.query().map(str::to_owned), ticket: None }
        };
        if ticket.is_some() {
            // Nor where the stream's service hangs. Who waits for auth holds no place of another service: it is let go of at once.
            drop(self.upstreams.place(route.upstream).await?);
        }
        let (caller, authorization) = self.caller(parts, policy, ticket, &scope).await?;
        let subject = caller.as_deref().map(known_as);
        let who = subject.as_deref().map(Who::Caller).or(source.map(Who::Source));
        if let Some(who) = who {
            let taken = self.quotas.take(policy.rate_class, who).await;
            *standing = taken.map_err(|refused| refused.leaving(standing))?;
        }
        headers::check_version(&parts.headers, route)?;
        let access_reason = match &caller {
            Some(caller) => headers::access_reason(&parts.headers, caller)?,
            None => None,
        };
        let path = fields
            .map_err(|name| Problem::invalid(vec![FieldFault::new(name, "must be percent-encoded UTF-8")]))?;
        let idempotency_key = headers::idempotency_key(&parts.headers, policy)?;
        let (form, last_event_id) = if streams {
            (form::negotiate(&parts.headers)?, headers::last_event_id(&parts.headers)?)
        } else {
            (Form::default(), None)
        };
        let is_upload = route.takes_lines() && upload::is_lines(&parts.headers);
        let (content, _held) = if route.takes_body && !is_upload {
            let bytes = if route.is_batch() { self.limits.batch_bytes } else { self.limits.body_bytes };
            let bounds = Bounds { bytes, time: self.limits.read_timeout };
            let (forms, room) = (route.takes_forms(), self.room.of(who));
            let (content, held) = body::read(&parts.headers, &mut *body, bounds, forms, room).await?;
            (content, Some(held))
        } else {
            (Content::default(), None)
        };
        let asked = self.last_known.ask(route, caller.as_deref(), query.as_deref());
        let request_id = scope.request_id.clone();
        let exchange = Exchange {
            route,
            channel: self.upstream(route.upstream)?,
            path,
            query,
            body: content,
            subject: subject.unwrap_or_default(),
            authorization,
            access_reason,
            idempotency_key,
            last_event_id,
            form,
            scope,
            sendings: self.sendings.clone(),
        };
        if is_upload {
            return whole(
                route,
                Box::pin(self.uploads.take(exchange, &self.upstreams, &parts.headers, body)).await?,
            );
        }
        let (call, place) = match (route.way, place) {
            (Way::Whole(call), _) => {
                let answer = match self.upstreams.place(route.upstream).await {
                    Ok(_place) => call(exchange).await,
                    Err(problem) => Err(problem),
                };
                let (answer, old) = self.last_known.answer(asked, answer)?;
                let tag = if route.verb == Verb::Get { etag::of(&answer) } else { None };
                let mut response = etag::stamp(&parts.headers, tag, whole(route, answer)?);
                response.headers_mut().extend(old.map(Old::age));
                return Ok(response);
            }
            (Way::Stream(call), Some(place)) => (call, place),
            // A stream has its place, as above.
            (Way::Stream(_), None) => return Err(Problem::internal()),
        };
        // An open stream has no place; one that is being opened waits for its service as any other request does.
        let opening = self.upstreams.place(route.upstream).await?;
        let frames = call(exchange).await?;
        drop(opening);
        let mut response = if parts.method == Method::HEAD {
            Response::new(AnswerBody::default())
        } else {
            let frames = (frames, form);
            Response::new(self.streams.answer(frames, parts.version, place, route, request_id))
        };
        headers::stamp_stream(response.headers_mut(), form);
        Ok(response)
    }

    /// Where it comes from, towards whose quota it is counted. Whoever is on this machine itself is not told apart by an address, and
    /// not limited by it.
    pub(super) async fn source(
        &self,
        parts: &Parts,
        scope: &CallScope,
        standing: &mut Option<Standing>,
    ) -> Result<Option<IpAddr>, Problem> {
        let source = scope.client_address.filter(|address| !origin::is_local(*address, &parts.headers));
        if let Some(source) = source {
            self.quotas.source(source).await.map_err(|refused| refused.leaving(standing))?;
        }
        Ok(source)
    }

    /// Who is calling, where the method asks, and the header to forward.
    pub(super) async fn caller(
        &self,
        parts: &Parts,
        policy: &MethodPolicy,
        ticket: Option<String>,
        scope: &CallScope,
    ) -> Result<(Option<Arc<Caller>>, Option<HeaderValue>), Problem> {
        match policy.audience {
            // A token that is sent all the same is ignored, and not passed on.
            Audience::Public => Ok((None, None)),
            Audience::Account
            | Audience::AccountOrDevice
            | Audience::Service
            | Audience::ServiceForCaller => {
                let header = match ticket {
                    Some(ticket) => Box::pin(self.redeem(ticket, scope)).await?,
                    None => self.authorization(parts, scope).await?,
                };
                let verified = self.verifier.verify(headers::bearer(&header)?).await;
                let caller = verified.map_err(|error| status::problem(&Status::from(error)))?;
                Ok((Some(allowed(caller, policy)?), Some(header)))
            }
        }
    }

    /// The header of the token that a ticket stands for.
    async fn redeem(&self, ticket: String, scope: &CallScope) -> Result<HeaderValue, Problem> {
        let _place = self.upstreams.place("auth").await?;
        ticket::redeem(self.upstream("auth")?, ticket, scope).await
    }

    /// The header of an access token: as it was sent, or that of the personal one that was.
    async fn authorization(&self, parts: &Parts, scope: &CallScope) -> Result<HeaderValue, Problem> {
        let header = headers::authorization(&parts.headers)?;
        match headers::bearer(&header)? {
            token if personal::is_personal(token) => {
                Box::pin(self.personal.exchange(&self.upstreams, token, scope)).await
            }
            _ => Ok(header),
        }
    }

    /// Checked when the edge was made: every route has its upstream.
    pub(super) fn upstream(&self, service: &str) -> Result<Channel, Problem> {
        self.upstreams.get(service).ok_or_else(Problem::internal)
    }
}

fn whole(route: &Route, answer: Answer) -> Result<Response<AnswerBody>, Problem> {
    let mut response = Response::new(AnswerBody::from(answer.body));
    *response.status_mut() = answer.status;
    if answer.status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers::stamp_success(response.headers_mut(), route, answer.replayed);
    Ok(response)
}

/// Whether the token by itself lets the caller call the method.
fn allowed(caller: Arc<Caller>, policy: &MethodPolicy) -> Result<Arc<Caller>, Problem> {
    caller.fits(policy).map_err(|unfit| {
        let problem = Problem::new(StatusCode::FORBIDDEN, unfit.reason(), status::sentence(&unfit.text()));
        match unfit {
            Unfit::Scope(scope) => {
                let challenge =
                    format!("Bearer realm=\"petty\", error=\"insufficient_scope\", scope=\"{scope}\"");
                problem.with(WWW_AUTHENTICATE, header(&challenge))
            }
            Unfit::Device | Unfit::PersonalToken | Unfit::Role(_) => problem,
        }
    })?;
    Ok(caller)
}
