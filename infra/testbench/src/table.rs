//! Who may see what: what auth's tables are to the mesh.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use petty_chassis::ApiError;
use petty_chassis::access::{AccessSource, Asker, Decision, Pairing, Role, Target};
use petty_chassis::types::{AccountId, Clock, CollarId, PairingId, PetId, SessionId};

/// Who may see what. Empty at first: nobody sees anything. Clones are the same table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    roles: BTreeMap<(PetId, AccountId), Role>,
    worn: Vec<Worn>,
    ended: BTreeSet<SessionId>,
    away: bool,
}

#[derive(Debug)]
struct Worn {
    collar: CollarId,
    pairing: PairingId,
    pet: PetId,
    start: Timestamp,
    end: Option<Timestamp>,
}

impl Table {
    /// The account that has a pet: a new one, where nobody has it yet.
    pub fn owner_of(&self, clock: &Clock, pet: PetId) -> AccountId {
        let mut inner = self.lock();
        let owner = inner.owner(pet).unwrap_or_else(|| AccountId::new(clock));
        inner.roles.insert((pet, owner), Role::Owner);
        owner
    }

    /// The pet is this account's from now on, and no longer another's.
    pub fn give(&self, pet: PetId, account: AccountId) {
        let mut inner = self.lock();
        inner.roles.retain(|(of, _), role| *of != pet || *role != Role::Owner);
        inner.roles.insert((pet, account), Role::Owner);
    }

    /// The account is that to the pet from now on.
    pub fn share(&self, pet: PetId, account: AccountId, role: Role) {
        self.lock().roles.insert((pet, account), role);
    }

    /// The account is nothing to the pet any more.
    pub fn unshare(&self, pet: PetId, account: AccountId) {
        self.lock().roles.remove(&(pet, account));
    }

    /// The collar was worn by the pet from `start` to `end`; `None`: it still is. Said again, it is the same pairing.
    ///
    /// # Panics
    /// Where that is no collar's id.
    pub fn wear(&self, clock: &Clock, collar: &str, pet: PetId, start: Timestamp, end: Option<Timestamp>) {
        let (collar, pairing) = (collar.parse().expect("a collar's id"), PairingId::new(clock));
        let mut inner = self.lock();
        let mut same = inner
            .worn
            .iter_mut()
            .filter(|worn| (&worn.collar, worn.pet, worn.start) == (&collar, pet, start));
        match same.next() {
            Some(worn) => worn.end = end,
            None => inner.worn.push(Worn { collar, pairing, pet, start, end }),
        }
    }

    /// The session stands no more: [`Badge::session_id`](crate::Badge::session_id).
    pub fn end_session(&self, session: SessionId) {
        self.lock().ended.insert(session);
    }

    /// Whether auth cannot be reached.
    pub fn set_away(&self, away: bool) {
        self.lock().away = away;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn owner(&self, pet: PetId) -> Option<AccountId> {
        let mut owners = self.roles.iter().filter(|((of, _), role)| *of == pet && **role == Role::Owner);
        owners.next().map(|((_, account), _)| *account)
    }

    fn role(&self, asker: &Asker<'_>, pet: PetId) -> Option<Role> {
        let role = self.roles.get(&(pet, asker.caller.account_id())).copied();
        match asker.caller.device() {
            None => role,
            // A collar adds to its own pet, whatever the account that paired it is to it.
            Some((_, own)) => (own == pet).then_some(Role::Caregiver),
        }
    }

    fn pairings(&self, asker: &Asker<'_>, collar: &CollarId) -> Vec<Pairing> {
        let own = asker.caller.device().is_none_or(|(own, _)| own == collar);
        let mut pairings: Vec<Pairing> = self
            .worn
            .iter()
            .filter(|worn| own && worn.collar == *collar)
            .filter_map(|worn| {
                let Worn { pairing: pairing_id, pet: pet_id, start, end, .. } = *worn;
                self.role(asker, pet_id).map(|role| Pairing { pairing_id, pet_id, start, end, role })
            })
            .collect();
        pairings.sort_by_key(|pairing| pairing.start);
        pairings
    }
}

#[tonic::async_trait]
impl AccessSource for Table {
    async fn check(&self, asker: &Asker<'_>, target: &Target) -> Result<Decision, ApiError> {
        let inner = self.lock();
        if inner.away {
            return Err(ApiError::unavailable("ACCESS_UNKNOWN", "auth is away"));
        }
        if inner.ended.contains(&asker.caller.session_id()) {
            return Err(ApiError::unauthenticated("SESSION_ENDED", "the session has ended"));
        }
        let (role, pairings) = match target {
            Target::Session => (None, Vec::new()),
            Target::Pet(pet) => (inner.role(asker, *pet), Vec::new()),
            Target::Collar(collar) => (None, inner.pairings(asker, collar)),
        };
        Ok(Decision { role, pairings, expires: None })
    }
}
