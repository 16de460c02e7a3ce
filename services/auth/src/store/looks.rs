//! Looks of the staff at pets. A look is written with its audit entry, or it does not take place.

use petty_chassis::page::Page;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::{AccountId, EventId, PetId};

use super::one;
use super::pets::after;
use crate::domain::access::Look;
use crate::vault::{Field, Vault};

const TABLE: &str = "staff_accesses";

/// Writes a look down; false where there is no such pet.
pub(crate) async fn insert(tx: &Tx, vault: &Vault, look: &Look) -> Result<bool, Error> {
    let sql = "-- owner_of_looked_at\nSELECT account_id FROM pets WHERE pet_id = $1 FOR KEY SHARE";
    let Look { access_id, pet_id, account_id, reason, service, at } = look;
    let Some(row) = tx.query_opt(sql, &[&pet_id.0]).await? else { return Ok(false) };
    let owner = AccountId(Error::column(&row, "pets", 0)?);
    let sealed = vault.seal_for(tx, owner, Field::ACCESS_REASON, reason).await?;
    let sql =
        "-- insert_look\nINSERT INTO staff_accesses (access_id, pet_id, account_id, reason_sealed, service, at)
               VALUES ($1, $2, $3, $4, $5, $6)";
    let touched = tx.execute(sql, &[&access_id.0, &pet_id.0, &account_id.0, &sealed, service, at]).await?;
    one(touched, TABLE)?;
    Ok(true)
}

/// A page of the looks at a pet, newest first, and one more.
pub(crate) async fn list(tx: &Tx, vault: &Vault, pet: PetId, page: &Page) -> Result<Vec<Look>, Error> {
    let sql = "-- list_looks\nSELECT l.access_id, l.pet_id, l.account_id, l.reason_sealed, l.service, l.at, p.account_id
               FROM staff_accesses l JOIN pets p USING (pet_id)
               WHERE l.pet_id = $1 AND ($2::timestamptz IS NULL OR (l.at, l.access_id) < ($2, $3::uuid))
               ORDER BY l.at DESC, l.access_id DESC LIMIT $4";
    let (time, id) = after(page);
    let mut looks = Vec::new();
    for row in tx.query(sql, &[&pet.0, &time, &id, &page.limit()]).await? {
        let sealed: Vec<u8> = Error::column(&row, TABLE, 3)?;
        let owner = AccountId(Error::column(&row, "pets", 6)?);
        looks.push(Look {
            access_id: EventId(Error::column(&row, TABLE, 0)?),
            pet_id: PetId(Error::column(&row, TABLE, 1)?),
            account_id: AccountId(Error::column(&row, TABLE, 2)?),
            reason: vault.open_for(tx, owner, Field::ACCESS_REASON, &sealed).await?,
            service: Error::column(&row, TABLE, 4)?,
            at: Error::column(&row, TABLE, 5)?,
        });
    }
    Ok(looks)
}
