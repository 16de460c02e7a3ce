//! `petty keys`: what tokens are signed with.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use petty_proto::auth::v1::signing_key::State;
use petty_proto::auth::v1::{
    ListSigningKeysRequest, ReencryptDataRequest, RotateSigningKeysRequest, SigningKey,
};

use crate::cli::{KeysArgs, KeysCommand};
use crate::operator::{Operator, refused};

/// Between two steps of which the first came to nothing.
const PAUSE: Duration = Duration::from_millis(500);

/// Does what the command says.
///
/// # Errors
/// Where auth cannot be asked, or refuses.
pub async fn run(args: KeysArgs) -> anyhow::Result<ExitCode> {
    let operator = Operator::new(&args.operator).await?;
    match args.command {
        KeysCommand::List => list(&operator).await?,
        KeysCommand::Rotate { compromised } => rotate(&operator, compromised).await?,
        KeysCommand::Reencrypt => reencrypt(&operator).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn keys(operator: &Operator) -> anyhow::Result<Vec<SigningKey>> {
    let request = operator.request(ListSigningKeysRequest {})?;
    let answer = operator.operations().list_signing_keys(request).await;
    Ok(answer.map_err(|status| refused("auth", &status))?.into_inner().keys)
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
    let answer = answer.map_err(|status| refused("auth", &status))?.into_inner();
    let at = answer.rotate_time.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or_default();
    let next = if answer.next_kid.is_empty() { "a key that is being made" } else { &answer.next_kid };
    let told = if compromised {
        format!("{kid} is withdrawn: what it signed is refused within 30 s. {next} signs.\n")
    } else {
        format!("{kid} gives way to {next} at {at:.0}, within seconds. What it signed stays valid.\n")
    };
    Ok(std::io::stdout().write_all(told.as_bytes())?)
}

/// Step by step, each of which says how far it came. Stopped and begun again, it goes on where it was.
async fn reencrypt(operator: &Operator) -> anyhow::Result<()> {
    let mut total = 0_i64;
    loop {
        let request = operator.request(ReencryptDataRequest { batch_size: 0 })?;
        let answer = operator.operations().reencrypt_data(request).await;
        let step = answer.map_err(|status| refused("auth", &status))?.into_inner();
        total += i64::from(step.rewrapped);
        let mut out = std::io::stdout();
        if step.remaining == 0 {
            writeln!(out, "{}", all_wrapped(total, &step.key_id))?;
            return Ok(());
        }
        writeln!(out, "{total} keys were wrapped anew, {} remain", step.remaining)?;
        if step.rewrapped == 0 {
            // Somebody else has them locked, or another replica wraps under a key before: not to be asked without a pause.
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What is said once all keys are wrapped under this one. Mail that waits and links that were mailed are not: they go by
/// themselves, within the 24 hours that the longest of them is good for.
fn all_wrapped(total: i64, key: &str) -> String {
    format!(
        "{total} keys were wrapped anew; all are wrapped under {key} now. Mail and links on their way still need those before \
         it: these may go in 24 h."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_before_stay_for_the_day_that_mail_and_links_may_be_on_their_way() {
        let told = all_wrapped(3, "ab12");
        assert!(told.starts_with("3 keys were wrapped anew; all are wrapped under ab12 now."), "{told}");
        assert!(told.contains("Mail and links") && told.ends_with("these may go in 24 h."), "{told}");
    }
}
