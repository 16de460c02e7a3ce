//! `petty keys`: what tokens are signed with.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use jiff::Timestamp;
use petty_proto::auth::v1::signing_key::State;
use petty_proto::auth::v1::{ListSigningKeysRequest, RotateSigningKeysRequest, SigningKey};

use crate::cli::{KeysArgs, KeysCommand};
use crate::operator::{Operator, refused};

/// Does what the command says.
///
/// # Errors
/// Where auth cannot be asked, or refuses.
pub async fn run(args: KeysArgs) -> anyhow::Result<ExitCode> {
    let operator = Operator::new(&args.operator).await?;
    match args.command {
        KeysCommand::List => list(&operator).await?,
        KeysCommand::Rotate { compromised } => rotate(&operator, compromised).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn keys(operator: &Operator) -> anyhow::Result<Vec<SigningKey>> {
    let request = operator.request(ListSigningKeysRequest {})?;
    let answer = operator.operations().list_signing_keys(request).await;
    Ok(answer.map_err(|status| refused(&status))?.into_inner().keys)
}

async fn list(operator: &Operator) -> anyhow::Result<()> {
    let mut text = String::new();
    for key in keys(operator).await? {
        let due = key.due_time.and_then(|time| Timestamp::try_from(time).ok());
        let (state, due) = match (key.state(), due) {
            (State::Current, Some(due)) => ("current", format!("signs until {due:.0}")),
            (State::Retired, Some(due)) => ("retired", format!("published until {due:.0}")),
            (State::Next, _) => ("next", "signs after the current one".to_owned()),
            (state, _) => (state.as_str_name(), String::new()),
        };
        text.push_str(&format!("{state:<8} {:<6} {}  {due}\n", key.algorithm, key.kid));
    }
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

async fn rotate(operator: &Operator, compromised: bool) -> anyhow::Result<()> {
    let known = keys(operator).await?;
    let current = known.into_iter().find(|key| key.state() == State::Current);
    let kid = current.context("no key signs")?.kid;
    let request = operator.request(RotateSigningKeysRequest { kid: kid.clone(), compromised })?;
    let answer = operator.operations().rotate_signing_keys(request).await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let at = answer.rotate_time.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or_default();
    let next = if answer.next_kid.is_empty() { "a key that is being made" } else { &answer.next_kid };
    let told = if compromised {
        format!("{kid} is withdrawn: what it signed is refused within 30 s. {next} signs.\n")
    } else {
        format!("{kid} gives way to {next} at {at:.0}, within seconds. What it signed stays valid.\n")
    };
    Ok(std::io::stdout().write_all(told.as_bytes())?)
}
