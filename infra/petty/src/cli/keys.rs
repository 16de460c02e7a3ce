//! `petty keys`, and what all commands of an operator take.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Which mesh is operated.
#[derive(Debug, Clone, Args)]
pub struct OperatorArgs {
    /// The data directory of `petty up`; not looked at where PETTY_ENDPOINT_AUTH is set.
    #[arg(long, value_name = "DIR", default_value = ".petty", global = true)]
    pub data_dir: PathBuf,
    /// Its ready file; DIR/ready.json by default.
    #[arg(long, value_name = "FILE", global = true)]
    pub ready_file: Option<PathBuf>,
}

impl OperatorArgs {
    /// Where the ready file is.
    #[must_use]
    pub fn ready_file(&self) -> PathBuf {
        self.ready_file.clone().unwrap_or_else(|| self.data_dir.join("ready.json"))
    }
}

/// `petty keys`.
#[derive(Debug, Clone, Args)]
pub struct KeysArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: KeysCommand,
    /// Of which mesh.
    #[command(flatten)]
    pub operator: OperatorArgs,
}

/// What may be done with keys.
#[derive(Debug, Clone, Subcommand)]
pub enum KeysCommand {
    /// List the keys that are published.
    List,
    /// Have the next key sign.
    Rotate {
        /// The current key is known to others: replace it at once, and refuse what it signed.
        #[arg(long)]
        compromised: bool,
    },
    /// Wrap all keys anew under the current key-encryption key, while everything goes on.
    Reencrypt,
}
