//! The service's tables. The only place with SQL.

pub(crate) mod alerts;
pub(crate) mod days;
pub(crate) mod episodes;
pub(crate) mod states;
pub(crate) mod windows;
pub(crate) mod zones;
