//! The bench itself, with a timeline service that only says what it was let through for.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod calls;
mod dead_letters;
mod echo;
mod events;
mod replay;
