//! Whether a token by itself lets its bearer call a method.
//!
//! Invariant: the gateway and every service's gate decide by this one function, so that they cannot disagree.

use petty_proto::policy::{Audience, MethodPolicy};

use super::Caller;

/// The scopes there are.
pub const SCOPES: &[&str] = &["pets:read", "pets:write", "readings:write", "feedback:write", STAFF];
/// The scope of what only staff does. Nothing implies it.
pub const STAFF: &str = "staff";
/// Platform roles: on top of what somebody is to a pet.
pub const SUPPORT: &str = "support";
/// The platform role that gives and takes platform roles.
pub const ADMIN: &str = "admin";

/// Why a token does not do for a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is a collar's.
    Device,
    /// It was made from a personal access token.
    PersonalToken,
    /// It lacks the scope.
    Scope(&'static str),
    /// Its account has none of the roles.
    Role(&'static [&'static str]),
}

impl Unfit {
    /// The reason, `UPPER_SNAKE`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Device => "DEVICE_NOT_ALLOWED",
            Self::PersonalToken => "PERSONAL_TOKEN_NOT_ALLOWED",
            Self::Scope(_) => "SCOPE_MISSING",
            Self::Role(_) => "ROLE_MISSING",
        }
    }

    /// What to tell a person.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Device => "a collar's token cannot do this".to_owned(),
            Self::PersonalToken => "a personal access token cannot do this; sign in".to_owned(),
            Self::Scope(scope) => format!("the token lacks the scope {scope}"),
            Self::Role(roles) => format!("this is for {} only", roles.join(" and ")),
        }
    }
}

impl Caller {
    /// Whether the token by itself lets its bearer call a method that asks for a caller.
    ///
    /// # Errors
    /// Why it does not.
    pub fn fits(&self, policy: &MethodPolicy) -> Result<(), Unfit> {
        if self.is_device() && policy.audience == Audience::Account {
            return Err(Unfit::Device);
        }
        if self.is_integration() && policy.interactive {
            return Err(Unfit::PersonalToken);
        }
        if !policy.scope.is_empty() && !self.has_scope(policy.scope) {
            return Err(Unfit::Scope(policy.scope));
        }
        if !policy.roles.is_empty() && !policy.roles.iter().any(|role| self.has_role(role)) {
            return Err(Unfit::Role(policy.roles));
        }
        Ok(())
    }

    /// Whether the token holds a scope. The first system's `read` is `pets:read`; its `write` is `pets:write`,
    /// `readings:write` and `feedback:write`. Neither implies the other, and `staff` has no alias.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| held == scope || alias(held).contains(&scope))
    }

    /// Whether staff is calling: the scope, which a log-in gives, and a role, which the account has now.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        !self.is_integration() && self.has_scope(STAFF) && (self.has_role(SUPPORT) || self.has_role(ADMIN))
    }
}

/// What the first system's scopes mean.
#[must_use]
pub fn alias(scope: &str) -> &'static [&'static str] {
    match scope {
        "read" => &["pets:read"],
        "write" => &["pets:write", "readings:write", "feedback:write"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use petty_proto::policy::METHODS;

    use super::*;
    use crate::caller::{Claims, DeviceClaims};
    use crate::types::{AccountId, Clock, PetId, SessionId};

    fn caller(scope: &str, roles: &[&str], integration: bool, device: bool) -> Caller {
        let clock = Clock::system();
        let account = AccountId::new(&clock);
        let device = device.then(|| DeviceClaims { pet: PetId::new(&clock), account });
        let claims = Claims {
            iss: String::new(),
            aud: String::new(),
            sub: if device.is_some() { "collar-1".to_owned() } else { account.to_string() },
            exp: 0,
            nbf: 0,
            iat: 0,
            jti: String::new(),
            scope: scope.to_owned(),
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            sid: SessionId::new(&clock),
            integration,
            device,
        };
        Caller::try_from(claims).unwrap()
    }

    #[test]
    fn each_scope_is_what_it_says_and_staff_is_implied_by_none() {
        for (held, expected) in [
            ("pets:read", vec!["pets:read"]),
            ("pets:write", vec!["pets:write"]),
            ("read", vec!["pets:read"]),
            ("write", vec!["pets:write", "readings:write", "feedback:write"]),
            ("read write", vec!["pets:read", "pets:write", "readings:write", "feedback:write"]),
            ("staff", vec!["staff"]),
            ("READ pets staff:write pets:*", vec![]),
            ("", vec![]),
        ] {
            let caller = caller(held, &["admin"], false, false);
            let has: Vec<_> = SCOPES.iter().copied().filter(|scope| caller.has_scope(scope)).collect();
            assert_eq!(has, expected, "{held:?}");
            // What nobody defined is not had by an alias either.
            assert!(!caller.has_scope("accounts:write") && !caller.has_scope("accounts:read"), "{held:?}");
        }
    }

    #[test]
    fn the_policies_scopes_are_the_ones_there_are() {
        let stated: BTreeSet<_> =
            METHODS.iter().map(|policy| policy.scope).filter(|s| !s.is_empty()).collect();
        assert!(stated.iter().all(|scope| SCOPES.contains(scope)), "{stated:?}");
    }

    #[test]
    fn staff_is_who_has_both_the_scope_and_a_role_and_signed_in() {
        assert!(caller("staff", &["support"], false, false).is_staff());
        assert!(caller("staff", &["admin"], false, false).is_staff());
        assert!(!caller("staff", &[], false, false).is_staff());
        assert!(!caller("staff", &["owner"], false, false).is_staff());
        assert!(!caller("read write", &["admin"], false, false).is_staff());
        assert!(!caller("staff", &["admin"], true, false).is_staff());
        assert!(!caller("staff", &["admin"], false, true).is_staff());
    }

    #[test]
    fn every_method_refuses_who_lacks_what_its_policy_asks_for() {
        let everything = "pets:read pets:write readings:write feedback:write staff";
        for policy in METHODS
            .iter()
            .filter(|policy| matches!(policy.audience, Audience::Account | Audience::AccountOrDevice))
        {
            let fits = |scope: &str, roles: &[&str], integration, device| {
                caller(scope, roles, integration, device).fits(policy)
            };
            assert_eq!(fits(everything, &["support", "admin"], false, false), Ok(()), "{}", policy.path);
            let refused = policy.audience == Audience::Account;
            assert_eq!(
                fits("read write", &[], false, true) == Err(Unfit::Device),
                refused,
                "{}",
                policy.path
            );
            let refused = policy.interactive;
            let pat = fits(everything, &["support", "admin"], true, false);
            assert_eq!(pat == Err(Unfit::PersonalToken), refused, "{}", policy.path);
            if !policy.scope.is_empty() {
                let others: Vec<_> = SCOPES.iter().copied().filter(|scope| *scope != policy.scope).collect();
                let without = fits(&others.join(" "), &["support", "admin"], false, false);
                assert_eq!(without, Err(Unfit::Scope(policy.scope)), "{}", policy.path);
            }
            if !policy.roles.is_empty() {
                let without = fits(everything, &["owner"], false, false);
                assert_eq!(without, Err(Unfit::Role(policy.roles)), "{}", policy.path);
            }
        }
    }

    #[test]
    fn what_is_about_the_account_itself_is_for_who_is_signed_in() {
        let open: Vec<_> = METHODS
            .iter()
            .filter(|policy| policy.audience == Audience::Account && !policy.interactive)
            .filter(|policy| policy.service.starts_with("petty.auth.") && policy.resource.is_none())
            .map(|policy| policy.method)
            .collect();
        assert_eq!(open, ["GetMe", "CreatePet", "ListPets"], "each needs a reason to be here");
    }
}
