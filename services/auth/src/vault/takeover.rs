//! Takes over the accounts of before the vault: seals what stands there as it is, and empties it.
//!
//! Some rows a transaction, so that it can be stopped anywhere and goes on at the next boot; two replicas wait for each
//! other's rows and find them done.

use petty_chassis::postgres::{Db, Error};
use petty_chassis::service::Context;
use petty_chassis::types;

use super::Vault;
use crate::store::accounts;

/// So many accounts a transaction.
const BATCH: i64 = 200;

/// Goes on until nothing is left.
pub(super) async fn run(context: &Context, db: &Db, vault: &Vault) -> Result<(), Error> {
    let mut total = 0;
    loop {
        let now = types::micros(context.clock.now());
        let done = db
            .transaction("seal_accounts", |tx| async move {
                let plain = accounts::lock_plain(&tx, BATCH).await?;
                for account in &plain {
                    accounts::seal(&tx, vault, account, now).await?;
                }
                Ok::<_, Error>(plain.len())
            })
            .await?;
        if done == 0 {
            break;
        }
        total += done;
        tracing::info!(total, "accounts are sealed");
    }
    Ok(())
}
