//! `petty up`, as it is typed.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use petty_chassis::config::Environment;
use secrecy::{ExposeSecret as _, SecretString};

use crate::mesh;

/// What `petty up` tells the services itself, besides what is in the plan: the accounts of the ready file.
const OF_UP: [&str; 2] = ["PETTY_BOOTSTRAP_EMAIL", "PETTY_BOOTSTRAP_PASSWORD"];

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
    /// A configuration variable for every service, for example PETTY_RATE_READ=off; again for another. Where it is secret, its
    /// name alone: then its value is that of this process' environment, and no list of processes shows it.
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = setting)]
    pub set: Vec<Setting>,
}

/// A variable for every service.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value; where there is none, it is in the environment.
    pub value: Option<SecretString>,
}

impl Setting {
    /// Name and value.
    ///
    /// # Errors
    /// Where it is said nowhere.
    pub fn look_up(&self, environment: &Environment) -> anyhow::Result<(String, String)> {
        let Self { name, value } = self;
        let given = value.as_ref().map(|value| value.expose_secret());
        let value = given.or_else(|| environment.get(name));
        let value = value.with_context(|| {
            format!("--set {name} without a value takes that of the environment, and there {name} is not set")
        })?;
        Ok((name.clone(), value.to_owned()))
    }
}

fn setting(text: &str) -> Result<Setting, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(SecretString::from(value))),
        None => (text, None),
    };
    if !name.starts_with("PETTY_") {
        return Err("is not PETTY_…=VALUE, nor PETTY_… alone".to_owned());
    }
    // Of a file that holds it, too.
    let variable = name.strip_suffix("_FILE").unwrap_or(name);
    if mesh::is_planned(variable) || OF_UP.contains(&variable) {
        return Err(format!("`petty up` makes {variable} itself, so that its services find each other"));
    }
    Ok(Setting { name: name.to_owned(), value })
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
