//! Platform roles: what an account is to Petty itself, on top of what it is to its pets.

use petty_chassis::caller::{ADMIN, STAFF, SUPPORT};

use super::Error;

/// A platform role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformRole {
    /// Looks at a pet, for a reason.
    Support,
    /// And gives and takes roles.
    Admin,
}

impl PlatformRole {
    /// As it is stored, and as tokens claim it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Support => SUPPORT,
            Self::Admin => ADMIN,
        }
    }

    /// From how it is stored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Support, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }
}

/// The scope of a log-in's session: the account's, and `staff` where it has a role and not otherwise.
#[must_use]
pub fn log_in_scope(account_scope: &str, roles: &[String]) -> String {
    let mut scopes: Vec<&str> = account_scope.split(' ').filter(|scope| *scope != STAFF).collect();
    if !roles.is_empty() {
        scopes.push(STAFF);
    }
    scopes.join(" ")
}

/// What a session's token claims now: never more than the session was opened with, and nothing for staff once the account has
/// no role.
#[must_use]
pub fn claimed(session_scope: &str, roles: Vec<String>) -> (String, Vec<String>) {
    let for_staff = session_scope.split(' ').any(|scope| scope == STAFF) && !roles.is_empty();
    if for_staff {
        return (session_scope.to_owned(), roles);
    }
    (log_in_scope(session_scope, &[]), Vec::new())
}

/// Whether a role may be taken from an account.
///
/// # Errors
/// `LastAdmin`, where nobody would be left to give roles.
pub fn may_withdraw(role: PlatformRole, has_it: bool, admins: usize) -> Result<(), Error> {
    if role == PlatformRole::Admin && has_it && admins <= 1 { Err(Error::LastAdmin) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_log_in_with_a_role_gives_staff_and_only_while_the_role_lasts() {
        let admin = || vec![ADMIN.to_owned()];
        assert_eq!(log_in_scope("pets:read pets:write", &admin()), "pets:read pets:write staff");
        assert_eq!(log_in_scope("pets:read staff", &admin()), "pets:read staff");
        // What an account's row says of staff counts for nothing by itself.
        assert_eq!(log_in_scope("pets:read staff", &[]), "pets:read");
        assert_eq!(claimed("pets:read staff", admin()), ("pets:read staff".to_owned(), admin()));
        assert_eq!(claimed("pets:read staff", vec![]), ("pets:read".to_owned(), vec![]));
        // A session that was opened before the role was given stays what it was.
        assert_eq!(claimed("pets:read", admin()), ("pets:read".to_owned(), vec![]));
    }

    #[test]
    fn the_last_admin_stays() {
        assert!(may_withdraw(PlatformRole::Admin, true, 1).is_err());
        assert!(may_withdraw(PlatformRole::Admin, true, 2).is_ok());
        assert!(may_withdraw(PlatformRole::Admin, false, 1).is_ok());
        assert!(may_withdraw(PlatformRole::Support, true, 1).is_ok());
    }
}
