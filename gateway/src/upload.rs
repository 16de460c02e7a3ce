//! An upload: a body of any number of lines, each a reading, sent on as they come.
//!
//! Invariants: no more of an upload is in memory than one request's lines and a little of what unpacks; each line stands alone;
//! a line is read no further than the lines before it were answered, so that a service that is slow makes the client slow; an
//! upload has one of the service's places while a batch of it is being answered, and none while it waits for anything else; however
//! much unpacks from little, others have their turn in between.

mod lines;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use petty_proto::ingest::v1::{
    IngestReadingsRequest, IngestReadingsResponse, Reading, RejectedReading, UploadReadingsResponse,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::client::Grpc;
use tonic_prost::ProstCodec;

use crate::body;
use crate::config::Limits;
use crate::json;
use crate::problem::{FieldFault, Problem};
use crate::query::{self, Taken};
use crate::routes::Route;
use crate::schema::{Kind, Schema};
use crate::share::{Part, Shares};
use crate::upstream::{Answer, Exchange, RequestMessage, Upstreams, carrying, within};

use lines::{Line, Lines, Next};

/// The most readings of a request to the service.
const MOST: usize = 1_000;
/// So many refused lines are listed.
const MOST_LISTED: usize = 1_000;
/// So many more lines than there are readings may be none, blank ones too: what is no upload is not read to its end.
const MOST_UNREADABLE: usize = 100_000;
/// So many bytes are looked through before others have their turn, and a line counts as so many more: about half a millisecond.
const TURN: usize = 64 << 10;
const LINE: usize = 256;
/// How often what cannot be taken just now is sent again, and how long at most is waited in between. The client waits as long,
/// by its own connection.
const TRIES: u32 = 6;
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// The longest time that a whole upload may take.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// All uploads under way.
#[derive(Debug)]
pub(crate) struct Uploads {
    places: Semaphore,
    /// Those of each caller.
    shares: Shares,
    bytes: usize,
    read_timeout: Duration,
}

/// One upload so far.
struct Upload<'a> {
    exchange: &'a Exchange,
    upstreams: &'a Upstreams,
    waiting: Vec<Reading>,
    /// The lines that they stand on.
    numbers: Vec<usize>,
    /// The first line that is not known to be answered.
    answered: usize,
    /// How many lines were readings, and how many were none.
    readings: usize,
    unreadable: usize,
    /// How many bytes were looked through since others had their turn.
    looked: usize,
    /// The first lines that were refused, by their numbers.
    rejected: BTreeMap<usize, RejectedReading>,
    answer: UploadReadingsResponse,
}

/// Whether a body is one of lines.
pub(crate) fn is_lines(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    ["application/x-ndjson", "application/ndjson", "application/jsonl"]
        .iter()
        .any(|known| kind.eq_ignore_ascii_case(known))
}

impl Uploads {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            places: Semaphore::new(limits.uploads),
            shares: Shares::of((limits.uploads / 4).max(1)),
            bytes: limits.upload_bytes,
            read_timeout: limits.read_timeout,
        }
    }

    /// A place for one more of this caller's.
    fn place(&self, caller: &str) -> Result<(Part<'_>, SemaphorePermit<'_>), Problem> {
        let part = self.shares.one(Some(self.shares.key(caller))).ok_or_else(|| {
            Problem::caller_busy(
                "You have as many uploads under way as you may; try again once one has ended.",
            )
        })?;
        Ok((part, self.places.try_acquire().map_err(|_| Problem::overloaded())?))
    }

    /// Takes an upload in, and says what became of its lines.
    pub(crate) async fn take<B>(
        &self,
        exchange: Exchange,
        upstreams: &Upstreams,
        headers: &HeaderMap,
        body: &mut B,
    ) -> Result<Answer, Problem>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let _place = self.place(&exchange.subject)?;
        let query = exchange.query.as_deref().unwrap_or_default();
        query::parse(query, IngestReadingsRequest::SCHEMA, Taken::All, false)?;
        let lines = Lines::new(body::packed(headers)?, self.bytes);
        let mut upload = Upload {
            exchange: &exchange,
            upstreams,
            waiting: Vec::new(),
            numbers: Vec::new(),
            answered: 0,
            readings: 0,
            unreadable: 0,
            looked: 0,
            rejected: BTreeMap::new(),
            answer: UploadReadingsResponse::default(),
        };
        let taking = upload.take(lines, body, self.read_timeout);
        let taken = tokio::time::timeout(LONGEST, taking).await;
        taken.unwrap_or_else(|_| Err(too_slow())).map_err(|problem| upload.how_far(problem))?;
        upload.answer.rejected = upload.rejected.into_values().collect();
        let body = serde_json::to_vec(&upload.answer).map_err(|error| {
            tracing::error!(%error, "an upload's answer has no JSON");
            Problem::internal()
        })?;
        let status = StatusCode::from_u16(exchange.route.policy.success_status).unwrap_or(StatusCode::OK);
        Ok(Answer { status, body: body.into(), replayed: false })
    }
}

impl Upload<'_> {
    async fn take<B>(&mut self, mut lines: Lines, body: &mut B, patience: Duration) -> Result<(), Problem>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        loop {
            let frame = tokio::time::timeout(patience, body.frame()).await.map_err(|_| too_slow())?;
            let Some(frame) = frame else { break };
            let Ok(data) = frame.map_err(|_| broken())?.into_data() else { continue };
            lines.feed(data);
            loop {
                match lines.next()? {
                    Next::Line(line) => self.line(line).await?,
                    Next::Bytes(bytes) => self.looked_through(bytes).await,
                    Next::Nothing => break,
                }
            }
        }
        while let Some(line) = lines.rest()? {
            self.line(line).await?;
        }
        if lines.count() == 0 {
            return Err(Problem::invalid(vec![FieldFault::new("body", "must hold at least one line")]));
        }
        self.send(lines.count()).await
    }

    async fn line(&mut self, line: Line) -> Result<(), Problem> {
        let Line { number, text } = line;
        self.looked_through(LINE + text.as_ref().map_or(0, Vec::len)).await;
        let read = match text {
            None => Err(FieldFault::new("body", "is a line of more than 16384 bytes")),
            Some(text) if text.trim_ascii().is_empty() => return self.unreadable(),
            Some(text) => read(&text),
        };
        match read {
            Ok(reading) => {
                self.readings += 1;
                self.waiting.push(reading);
                self.numbers.push(number);
            }
            Err(FieldFault { field, reason }) => {
                self.reject(number, field, reason.into_owned(), "MALFORMED".to_owned());
                self.unreadable()?;
            }
        }
        if self.waiting.len() == MOST { self.send(number + 1).await } else { Ok(()) }
    }

    /// Counts a line that is no reading.
    fn unreadable(&mut self) -> Result<(), Problem> {
        self.unreadable += 1;
        if self.unreadable <= self.readings + MOST_UNREADABLE {
            return Ok(());
        }
        let reason = "has 100000 more lines that are no readings than lines that are";
        Err(Problem::invalid(vec![FieldFault::new("body", reason)]))
    }

    /// Lets others have their turn from time to time: the lines of what came at once may be many, and none need wait for anything.
    async fn looked_through(&mut self, bytes: usize) {
        self.looked += bytes;
        if self.looked >= TURN {
            self.looked = 0;
            tokio::task::yield_now().await;
        }
    }

    /// Lists a line, if it is one of the first: what a service refuses is known later than what is no reading.
    fn reject(&mut self, number: usize, field: String, reason: String, code: String) {
        let index = i32::try_from(number).unwrap_or(i32::MAX);
        self.rejected.insert(number, RejectedReading { index, field, reason, code });
        if self.rejected.len() > MOST_LISTED {
            self.rejected.pop_last();
            self.answer.unlisted = self.answer.unlisted.saturating_add(1);
        }
    }

    /// Sends what waits; then the lines below `end` are answered for.
    async fn send(&mut self, end: usize) -> Result<(), Problem> {
        if !self.waiting.is_empty() {
            let readings = std::mem::take(&mut self.waiting);
            let answer = self.call_patiently(IngestReadingsRequest { readings }).await?;
            self.answer.accepted = self.answer.accepted.saturating_add(answer.accepted);
            self.answer.duplicates = self.answer.duplicates.saturating_add(answer.duplicates);
            self.answer.conflicting = self.answer.conflicting.saturating_add(answer.conflicting);
            let numbers = std::mem::take(&mut self.numbers);
            for RejectedReading { index, field, reason, code } in answer.rejected {
                let number = usize::try_from(index).ok().and_then(|index| numbers.get(index));
                self.reject(number.copied().unwrap_or_default(), field, reason, code);
            }
        }
        self.answered = end;
        Ok(())
    }

    async fn call_patiently(
        &self,
        request: IngestReadingsRequest,
    ) -> Result<IngestReadingsResponse, Problem> {
        let mut pause = Duration::from_millis(250);
        for _ in 1..TRIES {
            match self.call(request.clone()).await {
                Err(problem) if passes(problem.status) => tokio::time::sleep(pause).await,
                settled => return settled,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.call(request).await
    }

    async fn call(&self, request: IngestReadingsRequest) -> Result<IngestReadingsResponse, Problem> {
        let Route { policy, upstream, .. } = self.exchange.route;
        // One of the service's, as for any other call: between two batches an upload has none.
        let _place = self.upstreams.place(upstream).await?;
        let mut client = Grpc::new(self.exchange.channel.clone());
        let request = carrying(self.exchange, request);
        let call = std::pin::pin!(async {
            client.ready().await?;
            let path = PathAndQuery::from_static(policy.path);
            client.unary(request, path, ProstCodec::default()).await
        });
        Ok(within(policy, self.exchange.scope.clone(), call).await?.into_inner())
    }

    /// Says with a problem which lines are done with, so that a client need not begin anew.
    fn how_far(&self, mut problem: Problem) -> Problem {
        if self.answered > 0 {
            let field = format!("lines[{}]", self.answered);
            let reason =
                "the lines before this one are on disk, or were refused; send it and those after it again";
            problem.errors.push(FieldFault::new(field, reason));
        }
        problem
    }
}

/// A line as a reading; of its faults the first.
fn read(text: &[u8]) -> Result<Reading, FieldFault> {
    json::decode(text, schema(), false, json::MOST_OBJECTS).map_err(|problem| {
        let first = problem.errors.into_iter().next();
        first.unwrap_or_else(|| FieldFault::new("body", "is not valid"))
    })
}

/// What a reading looks like: as the elements of a batch.
fn schema() -> &'static Schema {
    match IngestReadingsRequest::SCHEMA.field("readings").map(|field| &field.kind) {
        Some(Kind::Message(schema)) => schema,
        _ => IngestReadingsRequest::SCHEMA,
    }
}

/// Whether the same may be answered otherwise a little later. A reading that was stored all the same is a duplicate then.
fn passes(status: StatusCode) -> bool {
    [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT]
        .contains(&status)
}

fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "The body took too long to arrive.")
}

fn broken() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "BODY_BROKEN", "The body ended before it was complete.")
}
