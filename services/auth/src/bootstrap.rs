//! The staff account of whoever tries Petty on one machine: there from the first boot on.

use std::time::Duration;

use petty_chassis::postgres::{Db, Error};
use petty_chassis::service::Context;
use petty_chassis::types::{self, AccountId};
use tokio::time::Instant;

use crate::config::Bootstrap;
use crate::domain::account::{Account, SCOPE};
use crate::domain::staff::PlatformRole;
use crate::domain::text::TimeZoneName;
use crate::passwords::Passwords;
use crate::store::audit::{self, Actor, Entry};
use crate::store::{accounts, conflict, staff};
use crate::vault::Vault;

/// How long the hashing of its passphrase may wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes it where it is not there; one that is there is left alone.
pub(crate) async fn ensure(
    context: &Context,
    db: &Db,
    vault: &Vault,
    passwords: &Passwords,
    wanted: Bootstrap,
) -> anyhow::Result<()> {
    let Bootstrap { email, password } = &wanted;
    if db
        .read("bootstrap_account", |tx| async move { accounts::by_email(&tx, vault, email).await })
        .await?
        .is_some()
    {
        return Ok(());
    }
    let hash = &passwords.hash(password.clone(), Instant::now() + PATIENCE).await?;
    let now = types::micros(context.clock.now());
    let account = &Account {
        account_id: AccountId::new(&context.clock),
        email: email.clone(),
        name: None,
        time_zone: TimeZoneName::utc(),
        created_at: now,
        // Whoever configures the installation vouches for it.
        email_verified_at: Some(now),
    };
    let made = db
        .transaction("bootstrap_account", |tx| async move {
            accounts::insert(&tx, vault, account, hash, SCOPE).await?;
            staff::grant(&tx, account.account_id, PlatformRole::Admin).await?;
            let entry = Entry::done(Actor::Service("auth"), "OPEN_STAFF_ACCOUNT", account.account_id, "");
            audit::write(&tx, now, &entry).await
        })
        .await;
    match made {
        // Another replica was faster.
        Err(error) if conflict(&error) == Some(accounts::EMAIL_TAKEN) => Ok(()),
        other => Ok::<_, Error>(other?).map_err(Into::into),
    }
}
