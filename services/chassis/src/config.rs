//! Configuration: environment and files, read once into typed sections.
//!
//! Invariants: every fault is found and named before anything starts; no secret is shown by `Debug` or in a fault; only
//! this module reads the environment.

mod base;
mod environment;
mod reader;
mod storage;
#[cfg(test)]
mod tests;

pub use base::{BaseConfig, ServicePublicKey, TlsConfig};
pub use environment::Environment;
pub use reader::{Faults, Reader};
pub use storage::{PostgresConfig, PostgresTls, RedisConfig};

/// Part of a configuration.
pub trait Section: Sized {
    /// Reads it; `None` where a fault was recorded that leaves no value. Reads everything before giving up, so that all
    /// faults are named at once.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

impl Section for () {
    fn read(_reader: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

impl<A: Section, B: Section> Section for (A, B) {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (first, second) = (A::read(reader), B::read(reader));
        Some((first?, second?))
    }
}

impl<A: Section, B: Section, C: Section> Section for (A, B, C) {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (first, second, third) = (A::read(reader), B::read(reader), C::read(reader));
        Some((first?, second?, third?))
    }
}

/// Reads a configuration.
///
/// # Errors
///
/// All faults that it has.
pub fn load<S: Section>(environment: &Environment) -> Result<S, Faults> {
    let mut reader = Reader::new(environment);
    let section = S::read(&mut reader);
    let faults = reader.into_faults();
    match section {
        Some(section) if faults.is_empty() => Ok(section),
        Some(_) => Err(faults),
        None => Err(faults.or_unnamed()),
    }
}
