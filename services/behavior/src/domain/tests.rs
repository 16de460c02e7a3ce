//! The rules in tables, just inside and just outside.

mod build;
mod rules;
