//! The OpenAPI document, from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod codes;
mod document;
mod shapes;
