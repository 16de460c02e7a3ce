//! What a caller is to a session, a pet, a collar: one statement for each question.

use jiff::Timestamp;
use petty_chassis::access::Role;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{AccountId, CollarId, PetId, SessionId};

use super::{inconsistent, pairings};
use crate::domain::access::{Grant, VisiblePairing};
use crate::domain::pairing::Pairing;

/// Whether an account's session still stands: if so, whether the account has all roles that its token claims.
pub(crate) async fn session_stands(
    tx: &Tx,
    session: SessionId,
    account: AccountId,
    roles: &[String],
    now: Timestamp,
) -> Result<Option<bool>, Error> {
    let sql =
        "-- session_stands\nSELECT $4::text[] <@ a.roles FROM sessions s JOIN accounts a USING (account_id)
               WHERE s.session_id = $1 AND s.account_id = $2 AND s.ended_at IS NULL AND s.expires_at > $3";
    let row = tx.query_opt(sql, &[&session.0, &account.0, &now, &roles]).await?;
    row.map(|row| Error::column(&row, "accounts", 0)).transpose()
}

/// Whether a personal access token still stands: if so, when it ends by itself.
pub(crate) async fn personal_token_stands(
    tx: &Tx,
    token: SessionId,
    account: AccountId,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let sql = "-- personal_token_stands\nSELECT expires_at FROM personal_tokens
               WHERE token_id = $1 AND account_id = $2 AND deleted_at IS NULL AND expires_at > $3";
    let row = tx.query_opt(sql, &[&token.0, &account.0, &now]).await?;
    row.map(|row| Error::column(&row, "personal_tokens", 0)).transpose()
}

/// The pairing that a collar's credential belongs to, if both still last, and when the credential ends by itself: that of a
/// secret that was replaced does.
pub(crate) async fn credential_stands(
    tx: &Tx,
    credential: SessionId,
    collar: &CollarId,
    now: Timestamp,
) -> Result<Option<(Pairing, Option<Timestamp>)>, Error> {
    let sql = "-- credential_stands\nSELECT pairing_id, collar_id, pet_id, account_id, start_at, end_at, credential_id,
                      NULL::timestamptz AS ends_at
               FROM pairings WHERE credential_id = $1 AND collar_id = $2 AND (end_at IS NULL OR end_at > $3)
               UNION ALL
               SELECT p.pairing_id, p.collar_id, p.pet_id, p.account_id, p.start_at, p.end_at, r.credential_id, r.ends_at
               FROM replaced_secrets r JOIN pairings p USING (pairing_id)
               WHERE r.credential_id = $1 AND p.collar_id = $2 AND r.ends_at > $3 AND p.end_at IS NULL";
    let row = tx.query_opt(sql, &[&credential.0, &collar.as_str(), &now]).await?;
    row.map(|row| Ok((pairings::read(&row)?, Error::column(&row, "replaced_secrets", 7)?))).transpose()
}

/// What an account is to a pet.
pub(crate) async fn pet(
    tx: &Tx,
    pet: PetId,
    account: AccountId,
    now: Timestamp,
) -> Result<Option<Grant>, Error> {
    let sql = "-- pet_grant\nSELECT role, expires_at FROM (
                   SELECT 'OWNER' AS role, NULL::timestamptz AS expires_at FROM pets WHERE pet_id = $1 AND account_id = $2
                   UNION ALL
                   SELECT role, expires_at FROM shares
                   WHERE pet_id = $1 AND account_id = $2 AND withdrawn_at IS NULL
                     AND (expires_at IS NULL OR expires_at > $3)
               ) AS grants
               ORDER BY array_position(ARRAY['OWNER', 'CAREGIVER', 'VET', 'VIEWER'], role), expires_at DESC NULLS FIRST
               LIMIT 1";
    let row = tx.query_opt(sql, &[&pet.0, &account.0, &now]).await?;
    row.map(|row| grant(&row, 0)).transpose()
}

/// A collar's pairings with pets that an account owns or was given a share of, oldest first.
pub(crate) async fn collar(
    tx: &Tx,
    collar: &CollarId,
    account: AccountId,
    now: Timestamp,
) -> Result<Vec<VisiblePairing>, Error> {
    let sql = "-- collar_grants\nSELECT g.pairing_id, g.collar_id, g.pet_id, g.account_id, g.start_at, g.end_at,
                      g.credential_id, CASE WHEN p.account_id = $2 THEN 'OWNER' ELSE s.role END AS role, s.expires_at
               FROM pairings g JOIN pets p USING (pet_id)
               LEFT JOIN LATERAL (
                   SELECT share_id, role, expires_at FROM shares
                   WHERE pet_id = g.pet_id AND account_id = $2 AND withdrawn_at IS NULL
                     AND (expires_at IS NULL OR expires_at > $3)
                   ORDER BY array_position(ARRAY['CAREGIVER', 'VET', 'VIEWER'], role), expires_at DESC NULLS FIRST
                   LIMIT 1
               ) AS s ON true
               WHERE g.collar_id = $1 AND (p.account_id = $2 OR s.share_id IS NOT NULL)
               ORDER BY g.start_at";
    let rows = tx.query(sql, &[&collar.as_str(), &account.0, &now]).await?;
    rows.iter()
        .map(|row| Ok(VisiblePairing { pairing: pairings::read(row)?, grant: grant(row, 7)? }))
        .collect()
}

/// A collar's pairings up to the one its own token hangs on, of the same account: what was measured before it was moved
/// may still be on its way.
pub(crate) async fn own_collar(tx: &Tx, own: &Pairing) -> Result<Vec<VisiblePairing>, Error> {
    let sql =
        "-- own_collar\nSELECT pairing_id, collar_id, pet_id, account_id, start_at, end_at, credential_id
               FROM pairings WHERE collar_id = $1 AND account_id = $2 AND start_at <= $3 ORDER BY start_at";
    let rows = tx.query(sql, &[&own.collar_id.as_str(), &own.account_id.0, &own.start_at]).await?;
    let grant = Grant { role: Role::Caregiver, expires_at: None };
    rows.iter().map(|row| Ok(VisiblePairing { pairing: pairings::read(row)?, grant })).collect()
}

/// Columns: role, expires_at.
fn grant(row: &Row, first: usize) -> Result<Grant, Error> {
    let role: String = Error::column(row, "shares", first)?;
    Ok(Grant {
        role: Role::parse(&role).ok_or_else(|| inconsistent("shares", "role"))?,
        expires_at: Error::column(row, "shares", first + 1)?,
    })
}
