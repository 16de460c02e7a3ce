//! The translation by itself, without what an edge does beside it: no token is looked at, nothing is traced, measured or
//! limited but a body's size. No product: `cargo petty bench gateway` holds the whole edge against it.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body::Body;
use petty_chassis::grpc::{CallScope, RequestId};

use crate::answer::AnswerBody;
use crate::body::{self, Bounds, Content, Room};
use crate::config::Limits;
use crate::form::Form;
use crate::idempotency::Sendings;
use crate::problem::Problem;
use crate::router::{Found, Router};
use crate::routes::{ROUTES, Way};
use crate::upstream::{Exchange, Upstreams};

/// Routes, JSON and upstreams, and nothing else.
#[derive(Debug)]
pub struct Bare {
    router: Router,
    upstreams: Upstreams,
    limits: Limits,
    room: Room,
}

impl Bare {
    /// In front of these upstreams.
    ///
    /// # Errors
    ///
    /// Two routes cannot be told apart.
    pub fn new(upstreams: Upstreams) -> anyhow::Result<Self> {
        let limits = Limits::default();
        Ok(Self { router: Router::new(ROUTES)?, upstreams, limits, room: Room::new(limits) })
    }

    /// Answers a request that is answered whole.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        self.translate(request).await.unwrap_or_else(|problem| problem.into_response(""))
    }

    async fn translate<B>(&self, request: Request<B>) -> Result<Response<AnswerBody>, Problem>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (parts, body) = request.into_parts();
        let Found::Route(route, path) = self.router.find(&parts.method, parts.uri.path()) else {
            return Err(Problem::method_not_allowed());
        };
        let Way::Whole(call) = route.way else { return Err(Problem::internal()) };
        let (content, _held) = if route.takes_body {
            let bounds = Bounds { bytes: self.limits.batch_bytes, time: self.limits.read_timeout };
            let (content, held) = body::read(&parts.headers, body, bounds, false, self.room.of(None)).await?;
            (content, Some(held))
        } else {
            (Content::default(), None)
        };
        let answer = call(Exchange {
            route,
            channel: self.upstreams.get(route.upstream).ok_or_else(Problem::internal)?,
            path,
            query: parts.uri.query().map(str::to_owned),
            body: content,
            subject: String::new(),
            authorization: None,
            access_reason: None,
            idempotency_key: None,
            last_event_id: None,
            form: Form::default(),
            scope: CallScope {
                request_id: RequestId(String::new()),
                traceparent: None,
                deadline: None,
                client_address: None,
            },
            sendings: Sendings::unrecorded(),
        })
        .await?;
        let mut response = Response::new(AnswerBody::from(answer.body));
        *response.status_mut() = answer.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }
}
