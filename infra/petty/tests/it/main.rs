//! `petty up` as a person runs it.

mod up;
