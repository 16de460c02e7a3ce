//! The rules in tables, just inside and just outside; the stream against the whole.

mod build;
mod revisions;
mod rules;
mod stream;
