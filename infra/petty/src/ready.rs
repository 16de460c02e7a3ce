//! The ready file: what `petty up` says of itself to programs, as far as the other commands read it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, ensure};
use petty_provision::Owner;
use serde::Deserialize;

/// Where everything is.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    /// The gateway's URL.
    pub gateway: String,
    /// The process.
    #[serde(default)]
    pub pid: u32,
    /// Each service's addresses.
    #[serde(default)]
    pub services: BTreeMap<String, Addresses>,
    /// The database server.
    #[serde(default)]
    pub postgres: Postgres,
    /// The event server.
    #[serde(default)]
    pub redis: Redis,
    /// The staff account.
    #[serde(default)]
    pub staff: Option<Staff>,
}

impl Ready {
    /// Fails where it, read from that file, is not of the mesh that runs on this data directory. One that was killed leaves its file behind, and who listens at
    /// its addresses now may be anybody.
    ///
    /// # Errors
    /// So, or where the directory cannot be read.
    pub fn runs_on(&self, path: &Path, data_dir: &Path) -> anyhow::Result<()> {
        let holder = Owner::of(data_dir)?;
        ensure!(
            holder.is_some_and(|holder| holder.pid == self.pid),
            "{} is not of a mesh that runs on {}: start it with `cargo petty up` first, or name its directory with --data-dir",
            path.display(),
            data_dir.display()
        );
        Ok(())
    }
}

/// The staff account of a mesh on one machine.
#[derive(Clone, Deserialize)]
pub struct Staff {
    /// Its address.
    pub email: String,
    /// Its passphrase.
    pub password: String,
}

/// Where a service is.
#[derive(Debug, Clone, Deserialize)]
pub struct Addresses {
    /// Its admin port's URL.
    pub admin: String,
    /// Where it takes gRPC, if it does.
    #[serde(default)]
    pub grpc: Option<String>,
}

/// The database server.
#[derive(Clone, Default, Deserialize)]
pub struct Postgres {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// By service.
    #[serde(default)]
    pub databases: BTreeMap<String, Database>,
}

/// A service's database.
#[derive(Clone, Deserialize)]
pub struct Database {
    /// How the service itself comes in; holds a password.
    pub runtime_url: String,
}

/// The event server.
#[derive(Clone, Default, Deserialize)]
pub struct Redis {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// How to come in; holds a password.
    #[serde(default)]
    pub url: String,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.databases.keys().collect();
        formatter.debug_struct("Postgres").field("port", &self.port).field("databases", &names).finish()
    }
}

impl std::fmt::Debug for Staff {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Staff").field("email", &self.email).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Database").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Redis").field("port", &self.port).finish_non_exhaustive()
    }
}

/// Reads it; `None` where there is none: no mesh runs, or it is not ready yet.
///
/// # Errors
/// Where it cannot be read, or is no such file.
pub fn read(path: &Path) -> anyhow::Result<Option<Ready>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let ready = serde_json::from_str(&text).with_context(|| {
        format!("{} is not a ready file; name the one of `cargo petty up` with --ready-file", path.display())
    })?;
    Ok(Some(ready))
}
