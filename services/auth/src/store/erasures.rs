//! Which service has forgotten which pet.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::PetId;

/// Notes it; a second time changes nothing.
pub(crate) async fn note(tx: &Tx, pet: PetId, service: &str, at: Timestamp) -> Result<(), Error> {
    let sql = "-- note_erasure\nINSERT INTO erasures (pet_id, service, erased_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    tx.execute(sql, &[&pet.0, &service, &at]).await.map(|_| ())
}
