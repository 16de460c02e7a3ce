//! Personal access tokens: what they may do, and for how long.

use jiff::{SignedDuration, Timestamp, Unit};
use petty_chassis::caller::{Caller, STAFF, alias};
use petty_chassis::types::SessionId;

use super::Problem;

/// The longest life: a year, leap or not.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);
/// The most that an account has at once.
pub const MOST: usize = 50;
/// What one may be given, in the order in which it is told.
const GIVABLE: &[&str] = &["pets:read", "pets:write", "readings:write", "feedback:write"];

/// A personal access token, but for the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalToken {
    /// Its id, which is the `sid` of the access tokens it is exchanged for.
    pub token_id: SessionId,
    /// What its owner calls it.
    pub name: String,
    /// Scopes, separated by spaces; no aliases.
    pub scope: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// The scopes of a token that somebody makes: what was asked for, without aliases, each once.
///
/// # Errors
/// Where nothing is asked for, what is not known, what is for staff, or more than the maker's own token may.
pub fn scope(wanted: &str, maker: &Caller) -> Result<String, Problem> {
    let asked: Vec<&str> = wanted.split(' ').filter(|scope| !scope.is_empty()).collect();
    if asked.is_empty() {
        return Err(Problem::REQUIRED);
    }
    if asked.contains(&STAFF) {
        return Err(Problem::out_of_range("must not hold staff: no personal access token is for that"));
    }
    if asked.iter().any(|scope| !GIVABLE.contains(scope) && alias(scope).is_empty()) {
        return Err(Problem::malformed(
            "must be scopes separated by spaces: pets:read, pets:write, readings:write, feedback:write",
        ));
    }
    let meant = |scope: &str| asked.iter().any(|asked| *asked == scope || alias(asked).contains(&scope));
    let granted: Vec<&str> = GIVABLE.iter().copied().filter(|scope| meant(scope)).collect();
    if granted.iter().any(|scope| !maker.has_scope(scope)) {
        return Err(Problem::out_of_range("must be no more than your own token may do"));
    }
    Ok(granted.join(" "))
}

/// When a token ends by itself.
///
/// # Errors
/// Where no time is stated, or it is not in the future, or more than 366 days ahead.
pub fn expiry(wanted: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Problem> {
    match wanted {
        None => Err(Problem::REQUIRED),
        Some(time) if time <= now => Err(Problem::out_of_range("must be in the future")),
        Some(time) if time > now + LONGEST => Err(Problem::out_of_range("must be at most 366 days ahead")),
        Some(time) => Ok(time),
    }
}

/// When a token was used, as it is kept.
#[must_use]
pub fn minute(now: Timestamp) -> Timestamp {
    let rounding = jiff::TimestampRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Trunc);
    now.round(rounding).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use petty_chassis::caller::Claims;
    use petty_chassis::types::{AccountId, Clock};

    use super::*;
    use crate::domain::ProblemKind;

    fn maker(scope: &str) -> Caller {
        let clock = Clock::system();
        let claims = Claims {
            iss: String::new(),
            aud: String::new(),
            sub: AccountId::new(&clock).to_string(),
            exp: 0,
            nbf: 0,
            iat: 0,
            jti: String::new(),
            scope: scope.to_owned(),
            roles: vec!["admin".to_owned()],
            sid: SessionId::new(&clock),
            integration: false,
            device: None,
        };
        Caller::try_from(claims).unwrap()
    }

    #[test]
    fn a_token_gets_what_is_asked_for_and_the_maker_has_and_never_staff() {
        let everything = "pets:read pets:write readings:write feedback:write staff";
        for (own, wanted, expected) in [
            (everything, "pets:read", Ok("pets:read")),
            (everything, " feedback:write  pets:read pets:read ", Ok("pets:read feedback:write")),
            (everything, "read", Ok("pets:read")),
            (everything, "write", Ok("pets:write readings:write feedback:write")),
            ("read", "pets:read", Ok("pets:read")),
            ("read", "write", Err(ProblemKind::OutOfRange)),
            ("pets:read", "pets:read pets:write", Err(ProblemKind::OutOfRange)),
            (everything, "staff", Err(ProblemKind::OutOfRange)),
            (everything, "pets:read staff", Err(ProblemKind::OutOfRange)),
            (everything, "pets:*", Err(ProblemKind::Malformed)),
            (everything, "pets:read\tpets:write", Err(ProblemKind::Malformed)),
            (everything, "", Err(ProblemKind::Required)),
            (everything, "  ", Err(ProblemKind::Required)),
        ] {
            let granted = scope(wanted, &maker(own)).map_err(|problem| problem.kind);
            assert_eq!(granted.as_deref(), expected.as_ref().map(|scope| *scope), "{own}: {wanted:?}");
        }
    }

    #[test]
    fn a_token_lives_a_year_at_most_and_its_use_is_kept_to_the_minute() {
        let now: Timestamp = "2027-03-01T12:34:56.789Z".parse().unwrap();
        assert!(expiry(None, now).is_err() && expiry(Some(now), now).is_err());
        assert!(expiry(Some(now + LONGEST), now).is_ok());
        assert!(expiry(Some(now + LONGEST + SignedDuration::from_micros(1)), now).is_err());
        assert_eq!(minute(now), "2027-03-01T12:34:00Z".parse().unwrap());
    }
}
