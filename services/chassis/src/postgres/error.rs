//! Store errors, and the one place that knows SQLSTATEs.

use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, SqlState};

use crate::error::{ApiError, Code};

/// Why the database did not do what was asked. A missing row is no error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database said no.
    #[error("database")]
    Db(#[source] tokio_postgres::Error),
    /// No connection could be had.
    #[error("connection pool")]
    Pool(#[source] PoolError),
    /// The transaction is over, or given up because no answer came.
    #[error("the transaction is over, or no answer came in time")]
    Closed,
    /// A uniqueness or exclusion constraint refused the row.
    #[error("conflict with {constraint}")]
    Conflict {
        /// The constraint's name.
        constraint: String,
    },
    /// A row holds what it must not hold.
    #[error("{table}.{column} is inconsistent")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: String,
    },
    /// The transaction lost its races too often.
    #[error("too many retries of {transaction}")]
    TooManyRetries {
        /// The transaction's name.
        transaction: &'static str,
    },
}

/// What a failure means for trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Lost a race: the whole transaction may succeed when run again.
    Race,
    /// The database is away or overloaded.
    Away,
    /// The same would happen again.
    Lasting,
}

/// What the database says of a failure, and nothing of what rows hold: its detail and hint quote them, and so does the message where a
/// value could not be read.
pub(crate) fn said(error: &DbError) -> String {
    let quotes = error.code().code().starts_with("22");
    let mut text = format!("{} {}", error.severity(), error.code().code());
    if !quotes {
        text.push_str(": ");
        text.push_str(error.message());
    }
    for (what, name) in
        [("constraint", error.constraint()), ("table", error.table()), ("column", error.column())]
    {
        // Most messages name them.
        if let Some(name) = name.filter(|name| quotes || !error.message().contains(*name)) {
            text.push_str(&format!(", {what} {name}"));
        }
    }
    text
}

impl Error {
    /// Whether the transaction may be run again as it is.
    pub(super) fn lost_a_race(&self) -> bool {
        self.class() == Class::Race
    }

    /// What the failure means for trying again.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Pool(_) | Self::TooManyRetries { .. } | Self::Closed => Class::Away,
            Self::Conflict { .. } | Self::Inconsistent { .. } => Class::Lasting,
            Self::Db(error) => match error.code() {
                None => Class::Away,
                Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED) => Class::Race,
                Some(state) => {
                    // Connections (08), resources (53), interventions such as a shutdown (57), the system (58), a lock
                    // that was not to be had, a transaction that idled too long (25P03), and a server that only reads
                    // (25006), as one does that takes over and has not yet.
                    let away = ["08", "53", "57", "58"].iter().any(|class| state.code().starts_with(class));
                    let passing = ["25P03", "25006"].contains(&state.code());
                    if away || passing || *state == SqlState::LOCK_NOT_AVAILABLE {
                        Class::Away
                    } else {
                        Class::Lasting
                    }
                }
            },
        }
    }

    /// Whether the database refused what a row holds (a value out of range, a missing partition, a constraint that is not
    /// about uniqueness): the same statement without that row may succeed.
    #[must_use]
    pub fn refuses_a_row(&self) -> bool {
        match self {
            Self::Db(error) => error
                .code()
                .is_some_and(|state| state.code().starts_with("22") || state.code().starts_with("23")),
            Self::Pool(_)
            | Self::Closed
            | Self::Conflict { .. }
            | Self::Inconsistent { .. }
            | Self::TooManyRetries { .. } => false,
        }
    }

    /// Whether the database's disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Db(error) if error.code() == Some(&SqlState::DISK_FULL))
    }

    /// Reads a column, or says which one is inconsistent.
    ///
    /// # Errors
    /// `Inconsistent`, where the value is not of the type.
    pub fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
        row: &'a tokio_postgres::Row,
        table: &'static str,
        index: usize,
    ) -> Result<T, Self> {
        row.try_get(index).map_err(|_| Self::Inconsistent {
            table,
            column: row
                .columns()
                .get(index)
                .map_or_else(|| index.to_string(), |column| column.name().to_owned()),
        })
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let constraint = error.as_db_error().and_then(|db| {
            let refused =
                *db.code() == SqlState::UNIQUE_VIOLATION || *db.code() == SqlState::EXCLUSION_VIOLATION;
            refused.then(|| db.constraint().unwrap_or_default().to_owned())
        });
        match constraint {
            Some(constraint) => Self::Conflict { constraint },
            None => Self::Db(error),
        }
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        if error.is_disk_full() {
            // The statement failed, so nothing of its transaction is there.
            return Self::unavailable("STORAGE_FULL", error);
        }
        match error.class() {
            Class::Race | Class::Away => Self::unavailable("STORE_UNAVAILABLE", error),
            Class::Lasting => match error {
                Error::Conflict { .. } => Self {
                    source: Some(Box::new(error)),
                    ..Self::new(
                        Code::Conflict,
                        "CONFLICT",
                        "it exists already, or is being changed by somebody else",
                    )
                },
                Error::Db(_)
                | Error::Pool(_)
                | Error::Closed
                | Error::Inconsistent { .. }
                | Error::TooManyRetries { .. } => Self::internal(error),
            },
        }
    }
}
