//! Which route a verb and a path mean.
//!
//! Invariant: an unknown path is told from a known one with another verb, which answers with the verbs it has.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, anyhow};
use http::Method;
use matchit::Params;

use crate::query::decode_segment;
use crate::routes::{Route, Verb};
use crate::template::{Segment, Template};

/// The table of all routes.
#[derive(Debug)]
pub(crate) struct Router {
    table: matchit::Router<Shape>,
    /// What `OPTIONS *` answers: the verbs of all paths together.
    all: String,
}

/// All routes whose paths look alike.
#[derive(Debug, Default)]
struct Shape {
    entries: Vec<Entry>,
    /// Whether some of them end with more than the table looks at.
    endings: bool,
}

#[derive(Debug)]
struct Entry {
    route: &'static Route,
    captures: Vec<Capture>,
    /// `:look`, where it stands behind all that is left of a path.
    ending: Option<String>,
}

/// A field that the path states.
#[derive(Debug)]
struct Capture {
    field: &'static str,
    pieces: Vec<Piece>,
    /// Whether it may have several segments: a slash that is escaped is not one between them, and stays as it is.
    many: bool,
}

#[derive(Debug)]
enum Piece {
    Text(&'static str),
    /// What the table found, by its place.
    Value(usize),
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
    pub(crate) fn new(routes: impl IntoIterator<Item = &'static Route>) -> anyhow::Result<Self> {
        let mut by_shape: BTreeMap<String, Shape> = BTreeMap::new();
        let mut all = BTreeSet::new();
        for route in routes {
            let template = Template::parse(route.template).map_err(|reason| anyhow!(reason));
            let template = template.context(route.template)?;
            let entry = Entry { route, captures: captures(&template), ending: ending(&template) };
            let shape = by_shape.entry(shape(&template)).or_default();
            shape.endings |= entry.ending.is_some();
            shape.entries.push(entry);
            all.insert(route.verb);
        }
        let mut table = matchit::Router::new();
        for (path, mut shape) in by_shape {
            shape.entries.sort_by_key(|entry| entry.route.verb);
            table.insert(path, shape)?;
        }
        Ok(Self { table, all: allow(all.into_iter()) })
    }

    /// Finds. HEAD is a GET whose body is not sent.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found {
        if method == Method::OPTIONS && path == "*" {
            return Found::Options(self.all.clone());
        }
        let Ok(matched) = self.table.at(path) else { return Found::Nothing };
        let ending = matched.value.ending(path);
        let entries = || matched.value.entries.iter().filter(|entry| entry.ending.as_deref() == ending);
        let verbs = || allow(entries().map(|entry| entry.route.verb));
        if entries().next().is_none() {
            return Found::Nothing;
        }
        if method == Method::OPTIONS {
            return Found::Options(verbs());
        }
        let verb = if method == Method::HEAD { Verb::Get.as_str() } else { method.as_str() };
        let Some(entry) = entries().find(|entry| entry.route.verb.as_str() == verb) else {
            return Found::OtherVerbs(verbs());
        };
        let mut fields = Vec::with_capacity(entry.captures.len());
        for capture in &entry.captures {
            let Some(value) = capture.of(&matched.params, ending.unwrap_or_default()) else {
                return Found::BadSegment(entry.route, capture.field);
            };
            fields.push((capture.field, value));
        }
        Found::Route(entry.route, fields)
    }
}

impl Shape {
    /// Which of the endings a path has.
    fn ending(&self, path: &str) -> Option<&str> {
        if !self.endings {
            return None;
        }
        let endings = self.entries.iter().filter_map(|entry| entry.ending.as_deref());
        endings.filter(|ending| path.ends_with(ending)).max_by_key(|ending| ending.len())
    }
}

impl Capture {
    /// Its value, where it is percent-encoded UTF-8.
    fn of(&self, params: &Params<'_, '_>, ending: &str) -> Option<String> {
        let raw = |at: usize| params.iter().nth(at).map_or("", |(_, value)| value);
        if let (false, [Piece::Value(at)]) = (self.many, self.pieces.as_slice()) {
            return decode_segment(raw(*at));
        }
        let mut value = String::new();
        for piece in &self.pieces {
            if !value.is_empty() {
                value.push('/');
            }
            match piece {
                Piece::Text(text) => value.push_str(text),
                Piece::Value(at) => {
                    let raw = raw(*at);
                    decode_segments(raw.strip_suffix(ending).unwrap_or(raw), &mut value)?;
                }
            }
        }
        Some(value)
    }
}

/// Decodes all but escaped slashes.
fn decode_segments(mut raw: &str, value: &mut String) -> Option<()> {
    while let Some(at) = raw.find("%2F").into_iter().chain(raw.find("%2f")).min() {
        value.push_str(&decode_segment(&raw[..at])?);
        value.push_str(&raw[at..at + 3]);
        raw = &raw[at + 3..];
    }
    value.push_str(&decode_segment(raw)?);
    Some(())
}

/// `Allow`: the verbs, with those that every path has.
fn allow(verbs: impl Iterator<Item = Verb>) -> String {
    let mut verbs: Vec<&str> = verbs.map(Verb::as_str).collect();
    if verbs.contains(&"GET") {
        verbs.push("HEAD");
    }
    verbs.push("OPTIONS");
    verbs.join(", ")
}

/// The path as the table has it, its values numbered: two routes of the same shape may name them differently.
fn shape(template: &Template<'_>) -> String {
    let mut shape = String::new();
    for (at, segment) in template.segments.iter().enumerate() {
        match segment {
            Segment::Text(text) => shape.push_str(&format!("/{text}")),
            Segment::One => shape.push_str(&format!("/{{p{at}}}")),
            Segment::Rest => shape.push_str(&format!("/{{*p{at}}}")),
        }
    }
    if let Some(verb) = template.verb.filter(|_| ending(template).is_none()) {
        shape.push_str(&format!(":{verb}"));
    }
    shape
}

/// The table takes nothing behind what takes all.
fn ending(template: &Template<'_>) -> Option<String> {
    let verb = template.verb.filter(|_| template.segments.last() == Some(&Segment::Rest))?;
    Some(format!(":{verb}"))
}

fn captures(template: &Template<'static>) -> Vec<Capture> {
    let value_at = |at: usize| {
        template.segments[..at].iter().filter(|segment| !matches!(segment, Segment::Text(_))).count()
    };
    let capture = |variable: &crate::template::Variable<'static>| {
        let range = variable.first..variable.first + variable.count;
        let pieces = range.clone().map(|at| match template.segments[at] {
            Segment::Text(text) => Piece::Text(text),
            Segment::One | Segment::Rest => Piece::Value(value_at(at)),
        });
        let many = variable.count > 1 || template.segments[range.start] == Segment::Rest;
        Capture { field: variable.field, pieces: pieces.collect(), many }
    };
    template.variables.iter().map(capture).collect()
}

#[cfg(test)]
mod tests;
