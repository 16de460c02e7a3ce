//! The routes, generated from every `google.api.http` annotation of the protos.
//!
//! Invariant: a method is reachable from outside if and only if its proto says by which verb and path.

use futures::future::BoxFuture;
use petty_proto::policy::{self, MethodPolicy};

use crate::events::{Frames, Update, open};
use crate::json;
use crate::problem::Problem;
use crate::schema::{Field, Kind, Schema};
use crate::slot::Slot;
use crate::sound::{Sound, Walk};
use crate::upstream::{Answer, Exchange, RequestMessage, exchange};

/// A verb and path, and the method they stand for.
#[derive(Debug)]
pub(crate) struct Route {
    /// The verb.
    pub(crate) verb: Verb,
    /// The path, with `{pet_id}` for a field of the request.
    pub(crate) template: &'static str,
    /// What the method says of itself.
    pub(crate) policy: &'static MethodPolicy,
    /// The service that answers it.
    pub(crate) upstream: &'static str,
    /// Whether there is a body.
    pub(crate) takes_body: bool,
    /// The field of the request that the body is; without, it is all of the request.
    pub(crate) body_field: Option<&'static str>,
    /// The field of the answer that the body is; without, it is all of the answer.
    pub(crate) answer_field: Option<&'static str>,
    /// For a path without a version: the path that replaces it.
    pub(crate) successor: Option<&'static str>,
    /// How it is answered.
    pub(crate) way: Way,
}

/// How a route is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// In one piece: decodes, calls, encodes.
    Whole(fn(Exchange) -> BoxFuture<'static, Result<Answer, Problem>>),
    /// With events as they come: decodes, opens the upstream's stream, encodes.
    Stream(fn(Exchange) -> BoxFuture<'static, Result<Frames, Problem>>),
}

impl Route {
    /// Whether it is answered on the admin port, and there alone.
    pub(crate) fn is_for_staff(&self) -> bool {
        self.policy.scope == "staff"
    }

    /// The most bytes its body may have.
    pub(crate) fn is_batch(&self) -> bool {
        self.template.ends_with(":batch") || self.template.ends_with(":analyze")
    }

    /// The most objects and arrays in its body. Of a batch, those of twice the readings that it may have: the service says best what is
    /// a little too much.
    pub(crate) fn most_objects(&self) -> usize {
        if self.takes_lines() { 6_000 } else { json::MOST_OBJECTS }
    }

    /// Whether its body may be lines, any number of them.
    pub(crate) fn takes_lines(&self) -> bool {
        self.policy == &policy::INGEST_SERVICE_INGEST_READINGS
    }

    /// Whether its body may be form-encoded: where a standard says so (RFC 7009, 2.1).
    pub(crate) fn takes_forms(&self) -> bool {
        self.policy == &policy::TOKEN_SERVICE_REVOKE_TOKEN
    }
}

/// The verbs that routes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    Get,
    Put,
    Post,
    Delete,
    Patch,
}

impl Verb {
    /// As in a request line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
        }
    }
}

include!(concat!(env!("OUT_DIR"), "/routes.rs"));
