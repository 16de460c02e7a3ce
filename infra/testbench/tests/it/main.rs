//! The bench itself, with a timeline service that only says what it was let through for.

mod calls;
mod echo;
mod events;
