//! `petty audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::OperatorArgs;

/// `petty audit`.
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: AuditCommand,
    /// Of which mesh.
    #[command(flatten)]
    pub operator: OperatorArgs,
}

/// What may be done with the audit log.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// Verify that nothing in it was changed, removed, reordered or inserted.
    Verify {
        /// Read auth's database directly, as a role that may read, instead of asking auth.
        #[arg(long, value_name = "URL", env = "PETTY_AUDIT_DATABASE_URL", hide_env_values = true)]
        database_url: Option<String>,
        /// Compare with the ends of the chains that were noted there last time, and note the new ones.
        #[arg(long, value_name = "FILE")]
        anchors: Option<PathBuf>,
    },
}
