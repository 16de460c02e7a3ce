//! Readings in, behaviour episodes out. The domain is pure; everything that touches the world stands around it.

pub mod domain;
