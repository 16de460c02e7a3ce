//! Everybody who could ask.

use std::collections::BTreeMap;

use petty_tests::methods::Method;
use petty_tests::rest::Account;

use crate::matrix::scene::Scene;

/// What staff say of why they look at somebody's pet.
const REASON: &str = "ticket 4711: the owner asks why the collar is silent";
/// Who calls these has no session afterwards, or another account than before.
const OF_THE_ACCOUNT: &[&str] = &[
    "LogOut",
    "ChangePassword",
    "ChangeEmail",
    "EndSession",
    "EndOtherSessions",
    "CloseAccount",
    "EnrolSecondFactor",
    "ConfirmSecondFactor",
    "RenewRecoveryCodes",
    "RemoveSecondFactor",
];

/// Everybody, in the order of the table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Owner,
    OwnersPersonalToken,
    Caregiver,
    Viewer,
    Vet,
    Other,
    OwnCollar,
    OthersCollar,
    Staff,
    StaffWithReason,
    Anonymous,
}

impl Who {
    pub(super) const ALL: [Self; 11] = [
        Self::Owner,
        Self::OwnersPersonalToken,
        Self::Caregiver,
        Self::Viewer,
        Self::Vet,
        Self::Other,
        Self::OwnCollar,
        Self::OthersCollar,
        Self::Staff,
        Self::StaffWithReason,
        Self::Anonymous,
    ];

    /// As the table's head says it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::OwnersPersonalToken => "owner's personal token",
            Self::Caregiver => "caregiver",
            Self::Viewer => "viewer",
            Self::Vet => "vet",
            Self::Other => "other account",
            Self::OwnCollar => "own collar",
            Self::OthersCollar => "other's collar",
            Self::Staff => "staff",
            Self::StaffWithReason => "staff with reason",
            Self::Anonymous => "anonymous",
        }
    }
}

/// Somebody, as a request shows them.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The account, where one is calling; the owner otherwise.
    pub(super) account: Account,
    pub(super) token: Option<String>,
    /// What the gateway would have of it.
    pub(super) exchanged: Option<String>,
    pub(super) reason: Option<&'static str>,
}

impl Caller {
    /// Everybody by the session that the scene gave them.
    pub(super) async fn all(scene: &Scene) -> BTreeMap<Who, Self> {
        let mut all = BTreeMap::new();
        for who in Who::ALL {
            all.insert(who, Self::standing(scene, who).await);
        }
        all
    }

    /// Somebody who is about to be allowed something: an account that nobody will miss, where that is about the account itself
    /// and it is all the same which it is.
    pub(super) async fn of(scene: &Scene, who: Who, method: &Method) -> Self {
        let standing = Self::standing(scene, who).await;
        if account(scene, who).is_none() || !OF_THE_ACCOUNT.contains(&method.policy.method) {
            return standing;
        }
        let account = scene.client.sign_up().await;
        let token = Some(account.token.clone());
        Self { account, token: token.clone(), exchanged: token, ..standing }
    }

    async fn standing(scene: &Scene, who: Who) -> Self {
        let token = match who {
            Who::Anonymous => None,
            Who::OwnersPersonalToken => Some(scene.personal.clone()),
            Who::OwnCollar => Some(scene.device.clone()),
            Who::OthersCollar => Some(scene.others_device.clone()),
            _ => account(scene, who).map(|account| account.token.clone()),
        };
        let exchanged = match who {
            Who::OwnersPersonalToken => Some(scene.exchange(&scene.personal).await),
            _ => token.clone(),
        };
        let account = account(scene, who).unwrap_or(&scene.owner).clone();
        Self { account, token, exchanged, reason: (who == Who::StaffWithReason).then_some(REASON) }
    }
}

fn account(scene: &Scene, who: Who) -> Option<&Account> {
    match who {
        Who::Owner => Some(&scene.owner),
        Who::Caregiver => Some(&scene.caregiver),
        Who::Viewer => Some(&scene.viewer),
        Who::Vet => Some(&scene.vet),
        Who::Other => Some(&scene.other),
        Who::Staff | Who::StaffWithReason => Some(&scene.staff),
        Who::OwnersPersonalToken | Who::OwnCollar | Who::OthersCollar | Who::Anonymous => None,
    }
}
