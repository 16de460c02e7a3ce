//! Foods as pets eat them on, whatever becomes of the foods. Written under the locks of the pets and of the food.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::{AccountId, PetId};
use uuid::Uuid;

use super::slugs::FOOD_KINDS;

/// Lets pets that eat a food eat it on as it is. Who kept it before goes on to eat what was kept then.
pub(crate) async fn keep(tx: &Tx, food: Uuid, pets: &[PetId], now: Timestamp) -> Result<(), Error> {
    let sql = "-- keep_food\nINSERT INTO kept_foods
               (pet_id, food_id, name, kind, label_kcal_per_100g, protein_percent, fat_percent, fibre_percent, moisture_percent,
                ash_percent, ingredients, kept_at)
               SELECT p.pet_id, f.food_id, f.name, f.kind, f.label_kcal_per_100g, f.protein_percent, f.fat_percent, f.fibre_percent,
                      f.moisture_percent, f.ash_percent, f.ingredients, $3
               FROM profile_foods p JOIN foods f USING (food_id)
               WHERE f.food_id = $1 AND f.deleted_at IS NULL AND p.pet_id = ANY ($2)
               ON CONFLICT (pet_id, food_id) DO NOTHING";
    let pets: Vec<Uuid> = pets.iter().map(|pet| pet.0).collect();
    tx.execute(sql, &[&food, &pets, &now]).await.map(|_| ())
}

/// Lets all pets but these eat a food as its account describes it, whatever they kept of it.
pub(crate) async fn renew(tx: &Tx, food: Uuid, but: &[PetId]) -> Result<(), Error> {
    let sql = "-- renew_food\nDELETE FROM kept_foods WHERE food_id = $1 AND NOT pet_id = ANY ($2)";
    let but: Vec<Uuid> = but.iter().map(|pet| pet.0).collect();
    tx.execute(sql, &[&food, &but]).await.map(|_| ())
}

/// Lets pets that eat an account's foods eat them on without it: by what they are, not by the names that it gave them.
pub(crate) async fn keep_nameless(tx: &Tx, account: AccountId, now: Timestamp) -> Result<(), Error> {
    let kinds: Vec<&str> = FOOD_KINDS.iter().map(|(_, kind)| *kind).collect();
    let names: Vec<&str> = FOOD_KINDS.iter().map(|(kind, _)| kind.plain_name()).collect();
    let sql = "-- keep_accounts_foods\nINSERT INTO kept_foods
               (pet_id, food_id, name, kind, label_kcal_per_100g, protein_percent, fat_percent, fibre_percent, moisture_percent,
                ash_percent, ingredients, kept_at)
               SELECT p.pet_id, f.food_id, plain.name, f.kind, f.label_kcal_per_100g, f.protein_percent, f.fat_percent,
                      f.fibre_percent, f.moisture_percent, f.ash_percent, f.ingredients, $4
               FROM foods f JOIN profile_foods p USING (food_id)
               JOIN unnest($2::text[], $3::text[]) AS plain (kind, name) ON plain.kind = f.kind
               WHERE f.account_id = $1 AND f.deleted_at IS NULL
               ON CONFLICT (pet_id, food_id) DO NOTHING";
    tx.execute(sql, &[&account.0, &kinds, &names, &now]).await?;
    let sql = "-- unname_kept_foods\nUPDATE kept_foods k SET name = plain.name
               FROM foods f, unnest($2::text[], $3::text[]) AS plain (kind, name)
               WHERE f.account_id = $1 AND k.food_id = f.food_id AND plain.kind = k.kind";
    tx.execute(sql, &[&account.0, &kinds, &names]).await.map(|_| ())
}
