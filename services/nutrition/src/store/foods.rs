//! Foods. A version is given under the row's lock.

use jiff::Timestamp;
use petty_chassis::page::Page;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{AccountId, PetId};
use uuid::Uuid;

use super::slugs::{FOOD_KINDS, of_slug, slug};
use super::{inconsistent, one};
use crate::domain::{self, NewFood};

const TABLE: &str = "foods";

/// A food of an account's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Food {
    pub(crate) id: Uuid,
    pub(crate) account: AccountId,
    pub(crate) facts: NewFood,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) version: i32,
    /// `None`: it is there.
    pub(crate) deleted_at: Option<Timestamp>,
}

pub(crate) async fn insert(tx: &Tx, food: &Food) -> Result<(), Error> {
    let sql = "-- insert_food\nINSERT INTO foods
               (food_id, account_id, name, kind, label_kcal_per_100g, protein_percent, fat_percent, fibre_percent,
                moisture_percent, ash_percent, ingredients, created_at, updated_at, version)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    let Food { id, account, facts, created_at, updated_at, version, deleted_at: _ } = food;
    let kind = slug(FOOD_KINDS, facts.kind);
    let touched = tx
        .execute(
            sql,
            &[
                id,
                &account.0,
                &facts.name,
                &kind,
                &facts.label_kcal_per_100g,
                &facts.protein_percent,
                &facts.fat_percent,
                &facts.fibre_percent,
                &facts.moisture_percent,
                &facts.ash_percent,
                &facts.ingredients,
                created_at,
                updated_at,
                version,
            ],
        )
        .await?;
    one(touched, TABLE)
}

/// One of an account's foods; those that were removed too.
pub(crate) async fn get(tx: &Tx, account: AccountId, id: Uuid) -> Result<Option<Food>, Error> {
    let sql = "-- get_food\nSELECT food_id, account_id, name, kind, label_kcal_per_100g, protein_percent, fat_percent,
                      fibre_percent, moisture_percent, ash_percent, ingredients, created_at, updated_at, version, deleted_at
               FROM foods WHERE food_id = $1 AND account_id = $2";
    tx.query_opt(sql, &[&id, &account.0]).await?.map(|row| read(&row)).transpose()
}

/// Locks one of an account's foods, to change or to remove it. After the locks of the pets that eat it.
pub(crate) async fn lock(tx: &Tx, account: AccountId, id: Uuid) -> Result<Option<Food>, Error> {
    let sql = "-- lock_food\nSELECT food_id, account_id, name, kind, label_kcal_per_100g, protein_percent, fat_percent,
                      fibre_percent, moisture_percent, ash_percent, ingredients, created_at, updated_at, version, deleted_at
               FROM foods WHERE food_id = $1 AND account_id = $2 FOR UPDATE";
    tx.query_opt(sql, &[&id, &account.0]).await?.map(|row| read(&row)).transpose()
}

/// Writes a food that is locked.
pub(crate) async fn update(tx: &Tx, food: &Food) -> Result<(), Error> {
    let sql = "-- update_food\nUPDATE foods SET name = $2, kind = $3, label_kcal_per_100g = $4, protein_percent = $5,
                      fat_percent = $6, fibre_percent = $7, moisture_percent = $8, ash_percent = $9, ingredients = $10,
                      updated_at = $11, version = $12, deleted_at = $13
               WHERE food_id = $1";
    let Food { id, account: _, facts, created_at: _, updated_at, version, deleted_at } = food;
    let kind = slug(FOOD_KINDS, facts.kind);
    let touched = tx
        .execute(
            sql,
            &[
                id,
                &facts.name,
                &kind,
                &facts.label_kcal_per_100g,
                &facts.protein_percent,
                &facts.fat_percent,
                &facts.fibre_percent,
                &facts.moisture_percent,
                &facts.ash_percent,
                &facts.ingredients,
                updated_at,
                version,
                deleted_at,
            ],
        )
        .await?;
    one(touched, TABLE)
}

/// A page of an account's foods, newest first, and one more.
pub(crate) async fn list(tx: &Tx, account: AccountId, page: &Page) -> Result<Vec<Food>, Error> {
    let sql = "-- list_foods\nSELECT food_id, account_id, name, kind, label_kcal_per_100g, protein_percent, fat_percent,
                      fibre_percent, moisture_percent, ash_percent, ingredients, created_at, updated_at, version, deleted_at
               FROM foods WHERE account_id = $1 AND deleted_at IS NULL
                     AND ($2::timestamptz IS NULL OR (created_at, food_id) < ($2, $3::uuid))
               ORDER BY created_at DESC, food_id DESC LIMIT $4";
    let (time, id) = (page.after.map(|place| place.time), page.after.map(|place| place.id));
    tx.query(sql, &[&account.0, &time, &id, &page.limit()]).await?.iter().map(read).collect()
}

/// The foods that a pet's profile names and that are there, as it orders them: as they were kept for the pet, or else as their
/// accounts describe them.
pub(crate) async fn of_pet(tx: &Tx, pet: PetId) -> Result<Vec<domain::Food>, Error> {
    let sql = "-- foods_of_pet\nSELECT p.food_id, e.name, e.kind, e.label_kcal_per_100g, e.protein_percent, e.fat_percent, e.fibre_percent,
                      e.moisture_percent, e.ash_percent, e.ingredients
               FROM profile_foods p JOIN LATERAL (
                   SELECT k.name, k.kind, k.label_kcal_per_100g, k.protein_percent, k.fat_percent, k.fibre_percent, k.moisture_percent,
                          k.ash_percent, k.ingredients
                   FROM kept_foods k WHERE k.pet_id = p.pet_id AND k.food_id = p.food_id
                   UNION ALL
                   SELECT f.name, f.kind, f.label_kcal_per_100g, f.protein_percent, f.fat_percent, f.fibre_percent, f.moisture_percent,
                          f.ash_percent, f.ingredients
                   FROM foods f WHERE f.food_id = p.food_id AND f.deleted_at IS NULL
                         AND NOT EXISTS (SELECT FROM kept_foods k WHERE k.pet_id = p.pet_id AND k.food_id = p.food_id)
               ) e ON true
               WHERE p.pet_id = $1 ORDER BY p.position";
    let rows = tx.query(sql, &[&pet.0]).await?;
    let eaten =
        rows.iter().map(|row| Ok(domain::Food { id: Error::column(row, TABLE, 0)?, facts: facts(row, 1)? }));
    eaten.collect()
}

/// Which of these foods an account may choose: its own that are there. They stay there until the transaction ends.
pub(crate) async fn hold(tx: &Tx, account: AccountId, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    let sql = "-- hold_foods\nSELECT food_id FROM foods WHERE food_id = ANY ($1) AND account_id = $2 AND deleted_at IS NULL
               ORDER BY food_id FOR SHARE";
    let rows = tx.query(sql, &[&ids, &account.0]).await?;
    rows.iter().map(|row| Error::column(row, TABLE, 0)).collect()
}

/// The pets whose profiles name a food, in the order that their locks are taken in.
pub(crate) async fn eaters(tx: &Tx, id: Uuid) -> Result<Vec<PetId>, Error> {
    let sql = "-- eaters\nSELECT pet_id FROM profile_foods WHERE food_id = $1 ORDER BY pet_id";
    let rows = tx.query(sql, &[&id]).await?;
    rows.iter().map(|row| Error::column::<Uuid>(row, "profile_foods", 0).map(PetId)).collect()
}

/// The pets whose profiles name any of an account's foods, in the order that their locks are taken in.
pub(crate) async fn eaters_of_account(tx: &Tx, account: AccountId) -> Result<Vec<PetId>, Error> {
    let sql =
        "-- eaters_of_account\nSELECT DISTINCT p.pet_id FROM profile_foods p JOIN foods f USING (food_id)
               WHERE f.account_id = $1 ORDER BY p.pet_id";
    let rows = tx.query(sql, &[&account.0]).await?;
    rows.iter().map(|row| Error::column::<Uuid>(row, "profile_foods", 0).map(PetId)).collect()
}

/// Locks all of an account's foods. After the locks of the pets that eat them.
pub(crate) async fn lock_all(tx: &Tx, account: AccountId) -> Result<(), Error> {
    let sql = "-- lock_accounts_foods\nSELECT 1 FROM foods WHERE account_id = $1 ORDER BY food_id FOR UPDATE";
    tx.query(sql, &[&account.0]).await.map(|_| ())
}

/// Forgets all of an account's foods, removed ones too, and that they were chosen where no pet keeps them.
pub(crate) async fn delete_all(tx: &Tx, account: AccountId) -> Result<(), Error> {
    for sql in [
        "-- forget_choices\nDELETE FROM profile_foods p USING foods f WHERE p.food_id = f.food_id AND f.account_id = $1
         AND NOT EXISTS (SELECT FROM kept_foods k WHERE k.pet_id = p.pet_id AND k.food_id = p.food_id)",
        "-- forget_accounts_foods\nDELETE FROM foods WHERE account_id = $1",
    ] {
        tx.execute(sql, &[&account.0]).await?;
    }
    Ok(())
}

/// Forgets foods that were removed before then and that no profile names any more.
pub(crate) async fn forget_removed(tx: &Tx, before: Timestamp) -> Result<u64, Error> {
    let sql = "-- forget_foods\nDELETE FROM foods f WHERE deleted_at < $1
               AND NOT EXISTS (SELECT FROM profile_foods p WHERE p.food_id = f.food_id)";
    tx.execute(sql, &[&before]).await
}

fn read(row: &Row) -> Result<Food, Error> {
    Ok(Food {
        id: Error::column(row, TABLE, 0)?,
        account: AccountId(Error::column(row, TABLE, 1)?),
        facts: facts(row, 2)?,
        created_at: Error::column(row, TABLE, 11)?,
        updated_at: Error::column(row, TABLE, 12)?,
        version: Error::column(row, TABLE, 13)?,
        deleted_at: Error::column(row, TABLE, 14)?,
    })
}

/// Nine columns from one on: name, kind, label_kcal_per_100g, protein_percent, fat_percent, fibre_percent, moisture_percent,
/// ash_percent, ingredients.
fn facts(row: &Row, first: usize) -> Result<NewFood, Error> {
    Ok(NewFood {
        name: Error::column(row, TABLE, first)?,
        kind: of_slug(FOOD_KINDS, row, TABLE, first + 1)?.ok_or_else(|| inconsistent(TABLE, "kind"))?,
        label_kcal_per_100g: Error::column(row, TABLE, first + 2)?,
        protein_percent: Error::column(row, TABLE, first + 3)?,
        fat_percent: Error::column(row, TABLE, first + 4)?,
        fibre_percent: Error::column(row, TABLE, first + 5)?,
        moisture_percent: Error::column(row, TABLE, first + 6)?,
        ash_percent: Error::column(row, TABLE, first + 7)?,
        ingredients: Error::column(row, TABLE, first + 8)?,
    })
}
