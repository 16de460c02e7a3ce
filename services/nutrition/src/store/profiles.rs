//! Profiles, and the foods they name. Written under the pet's lock.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::PetId;
use uuid::Uuid;

use super::slugs::{ACTIVITY_LEVELS, LIFE_STAGES, WORKS, of_slug, slug};
use super::{inconsistent, one};
use crate::domain::{FoodChoice, Profile};

const TABLE: &str = "profiles";

/// A profile that somebody filled in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filled {
    pub(crate) profile: Profile,
    pub(crate) updated_at: Timestamp,
}

/// A pet's profile; `None` where nobody filled it in.
pub(crate) async fn get(tx: &Tx, pet: PetId) -> Result<Option<Filled>, Error> {
    let sql = "-- get_profile\nSELECT body_condition_score, life_stage, neutered, activity_level, work, expected_adult_weight_kg,
                      mating_date, litter_date, litter_size, meals_per_day, allergies, updated_at
               FROM profiles WHERE pet_id = $1";
    let Some(row) = tx.query_opt(sql, &[&pet.0]).await? else { return Ok(None) };
    let sql =
        "-- profile_foods\nSELECT food_id, share FROM profile_foods WHERE pet_id = $1 ORDER BY position";
    let foods = tx.query(sql, &[&pet.0]).await?;
    let foods = foods.iter().map(choice).collect::<Result<_, Error>>()?;
    let profile = Profile {
        body_condition_score: small(&row, 0, "body_condition_score")?,
        life_stage: of_slug(LIFE_STAGES, &row, TABLE, 1)?,
        neutered: Error::column(&row, TABLE, 2)?,
        activity_level: of_slug(ACTIVITY_LEVELS, &row, TABLE, 3)?,
        work: of_slug(WORKS, &row, TABLE, 4)?,
        expected_adult_weight_kg: Error::column(&row, TABLE, 5)?,
        mating_date: Error::column(&row, TABLE, 6)?,
        litter_date: Error::column(&row, TABLE, 7)?,
        litter_size: small(&row, 8, "litter_size")?,
        foods,
        meals_per_day: small(&row, 9, "meals_per_day")?,
        allergies: Error::column(&row, TABLE, 10)?,
    };
    Ok(Some(Filled { profile, updated_at: Error::column(&row, TABLE, 11)? }))
}

/// Replaces a pet's profile.
pub(crate) async fn put(tx: &Tx, pet: PetId, filled: &Filled) -> Result<(), Error> {
    let sql = "-- put_profile\nINSERT INTO profiles
               (pet_id, body_condition_score, life_stage, neutered, activity_level, work, expected_adult_weight_kg,
                mating_date, litter_date, litter_size, meals_per_day, allergies, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
               ON CONFLICT (pet_id) DO UPDATE
               SET body_condition_score = EXCLUDED.body_condition_score, life_stage = EXCLUDED.life_stage,
                   neutered = EXCLUDED.neutered, activity_level = EXCLUDED.activity_level, work = EXCLUDED.work,
                   expected_adult_weight_kg = EXCLUDED.expected_adult_weight_kg, mating_date = EXCLUDED.mating_date,
                   litter_date = EXCLUDED.litter_date, litter_size = EXCLUDED.litter_size,
                   meals_per_day = EXCLUDED.meals_per_day, allergies = EXCLUDED.allergies, updated_at = EXCLUDED.updated_at";
    let Filled { profile, updated_at } = filled;
    let touched = tx
        .execute(
            sql,
            &[
                &pet.0,
                &profile.body_condition_score.map(i32::from),
                &profile.life_stage.map(|stage| slug(LIFE_STAGES, stage)),
                &profile.neutered,
                &profile.activity_level.map(|level| slug(ACTIVITY_LEVELS, level)),
                &profile.work.map(|work| slug(WORKS, work)),
                &profile.expected_adult_weight_kg,
                &profile.mating_date,
                &profile.litter_date,
                &profile.litter_size.map(i32::from),
                &profile.meals_per_day.map(i32::from),
                &profile.allergies,
                updated_at,
            ],
        )
        .await?;
    one(touched, TABLE)?;
    put_foods(tx, pet, &profile.foods).await
}

async fn put_foods(tx: &Tx, pet: PetId, foods: &[FoodChoice]) -> Result<(), Error> {
    let ids: Vec<Uuid> = foods.iter().map(|choice| choice.food_id).collect();
    // Those that stay keep their rows, and so what was kept of them.
    let sql =
        "-- forget_profile_foods\nDELETE FROM profile_foods WHERE pet_id = $1 AND NOT food_id = ANY ($2)";
    tx.execute(sql, &[&pet.0, &ids]).await?;
    let shares: Vec<f64> = foods.iter().map(|choice| choice.share).collect();
    let sql = "-- put_profile_foods\nINSERT INTO profile_foods (pet_id, food_id, position, share)
               SELECT $1, food_id, position - 1, share
               FROM unnest($2::uuid[], $3::float8[]) WITH ORDINALITY AS chosen (food_id, share, position)
               ON CONFLICT (pet_id, food_id) DO UPDATE SET position = EXCLUDED.position, share = EXCLUDED.share";
    let touched = tx.execute(sql, &[&pet.0, &ids, &shares]).await?;
    if usize::try_from(touched) == Ok(foods.len()) {
        Ok(())
    } else {
        Err(inconsistent("profile_foods", "number of rows"))
    }
}

fn choice(row: &Row) -> Result<FoodChoice, Error> {
    let share = Error::column(row, "profile_foods", 1)?;
    Ok(FoodChoice { food_id: Error::column(row, "profile_foods", 0)?, share })
}

fn small(row: &Row, index: usize, column: &str) -> Result<Option<u8>, Error> {
    let value: Option<i32> = Error::column(row, TABLE, index)?;
    value.map(u8::try_from).transpose().map_err(|_| inconsistent(TABLE, column))
}
