//! Which route a verb and a path mean.
//!
//! Invariant: an unknown path is told from a known one with another verb, which answers with the verbs it has.

use std::collections::BTreeMap;

use http::Method;

use crate::query::decode_segment;
use crate::routes::{Route, Verb};

/// The table of all routes.
#[derive(Debug)]
pub(crate) struct Router {
    table: matchit::Router<Vec<&'static Route>>,
}

/// What a verb and a path mean.
#[derive(Debug)]
pub(crate) enum Found {
    /// A method, with the fields that the path states.
    Route(&'static Route, Vec<(&'static str, String)>),
    /// A method, but this field of the path is not percent-encoded UTF-8.
    BadSegment(&'static Route, &'static str),
    /// The path has other verbs: these.
    OtherVerbs(String),
    /// OPTIONS: the path has these verbs.
    Options(String),
    /// Nothing.
    Nothing,
}

impl Router {
    /// Of these routes.
    ///
    /// # Errors
    ///
    /// Two of them cannot be told apart.
    pub(crate) fn new(
        routes: impl IntoIterator<Item = &'static Route>,
    ) -> Result<Self, matchit::InsertError> {
        let mut by_shape: BTreeMap<String, Vec<&'static Route>> = BTreeMap::new();
        for route in routes {
            by_shape.entry(shape(route.template)).or_default().push(route);
        }
        let mut table = matchit::Router::new();
        for (shape, mut routes) in by_shape {
            routes.sort_by_key(|route| route.verb);
            table.insert(shape, routes)?;
        }
        Ok(Self { table })
    }

    /// Finds. HEAD is a GET whose body is not sent.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found {
        let Ok(matched) = self.table.at(path) else { return Found::Nothing };
        if method == Method::OPTIONS {
            return Found::Options(allow(matched.value));
        }
        let verb = if method == Method::HEAD { Verb::Get.as_str() } else { method.as_str() };
        let Some(route) = matched.value.iter().find(|route| route.verb.as_str() == verb) else {
            return Found::OtherVerbs(allow(matched.value));
        };
        let mut fields = Vec::new();
        for (name, (_, value)) in names(route.template).zip(matched.params.iter()) {
            let Some(value) = decode_segment(value) else { return Found::BadSegment(route, name) };
            fields.push((name, value));
        }
        Found::Route(route, fields)
    }
}

/// `Allow`: the verbs, with those that every path has.
fn allow(routes: &[&Route]) -> String {
    let mut verbs: Vec<&str> = routes.iter().map(|route| route.verb.as_str()).collect();
    if verbs.contains(&"GET") {
        verbs.push("HEAD");
    }
    verbs.push("OPTIONS");
    verbs.join(", ")
}

/// The template with its parameters numbered: two routes of the same shape may name them differently.
fn shape(template: &str) -> String {
    let mut shape = String::new();
    for (index, part) in template.split('{').enumerate() {
        match part.split_once('}') {
            Some((_, after)) => shape.push_str(&format!("{{p{index}}}{after}")),
            None => shape.push_str(part),
        }
    }
    shape
}

/// The fields that a template names, in order.
fn names(template: &'static str) -> impl Iterator<Item = &'static str> {
    template.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name))
}

#[cfg(test)]
mod tests;
