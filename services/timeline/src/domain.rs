//! What a timeline is made of: pure.

pub(crate) mod day;
mod entry;
mod filter;
mod follow;
mod span;
mod taking;

pub(crate) use entry::{AlertNote, Change, Entry, FeedbackNote, Kind, Metadata, PlanNote, What};
pub(crate) use filter::Filter;
pub(crate) use follow::{Next, next};
pub(crate) use petty_chassis::types::Behavior;
pub(crate) use span::{Span, Wearing, poll_after_seconds, seen_by, window};
pub(crate) use taking::{Kept, Noted, Said, Taken};
