//! `petty up`, as it is typed.

use std::path::PathBuf;

use clap::Args;

/// `petty up`.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// Where databases, passwords and logs are kept; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = ".petty")]
    pub data_dir: PathBuf,
    /// The gateway's port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Make a demo household, unless there is one: an account with a dog and a cat, three days behind them, live from
    /// then on (the default).
    #[arg(long, overrides_with = "no_demo")]
    pub demo: bool,
    /// Make no demo household.
    #[arg(long, overrides_with = "demo")]
    pub no_demo: bool,
    /// Where to write addresses and credentials once all is ready (mode 0600); DIR/ready.json by default.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Do not install missing servers: say what to install, and exit.
    #[arg(long)]
    pub no_install: bool,
    /// A configuration variable for every service, for example PETTY_RATE_READ=off; again for another.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub set: Vec<(String, String)>,
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if name.starts_with("PETTY_") => Ok((name.to_owned(), value.to_owned())),
        _ => Err("is not PETTY_…=VALUE"),
    }
}

impl UpArgs {
    /// Whether to make the demo account.
    #[must_use]
    pub fn wants_demo(&self) -> bool {
        self.demo || !self.no_demo
    }

    /// Where the ready file goes.
    #[must_use]
    pub fn ready_file(&self) -> PathBuf {
        self.ready_file.clone().unwrap_or_else(|| self.data_dir.join("ready.json"))
    }
}
