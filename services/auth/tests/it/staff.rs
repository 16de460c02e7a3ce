//! Platform roles: who gives and takes them, and how soon that is in force.

use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::staff_member::Role;
use tonic::{Code, Status};

use crate::harness::{Harness, PASSWORD, User, fields, refusal};

pub(crate) const ADMIN: &str = "admin@example.org";

/// auth with the admin it made at boot, who is signed in.
pub(crate) async fn with_admin() -> (Harness, User) {
    let stack = petty_provision::shared().await.unwrap();
    let more = [("PETTY_BOOTSTRAP_EMAIL", ADMIN), ("PETTY_BOOTSTRAP_PASSWORD", PASSWORD)];
    let harness = Harness::start_with(stack, &more).await;
    let admin = log_in(&harness, ADMIN).await;
    (harness, admin)
}

pub(crate) async fn log_in(harness: &Harness, email: &str) -> User {
    let request =
        wire::LogInRequest { email: email.to_owned(), password: PASSWORD.to_owned(), ..Default::default() };
    let answer = harness.tokens().log_in(harness.anonymous(request)).await.unwrap().into_inner();
    User {
        email: email.to_owned(),
        account_id: answer.account_id,
        token: answer.access_token,
        refresh: answer.refresh_token,
    }
}

pub(crate) async fn grant(harness: &Harness, by: &User, to: &str, role: Role) -> Result<Vec<Role>, Status> {
    let request = wire::GrantRoleRequest { account_id: to.to_owned(), role: role.into() };
    let answer = harness.staff().grant_role(harness.with(&by.token, request)).await;
    answer.map(|answer| answer.into_inner().roles().collect())
}

pub(crate) async fn withdraw(
    harness: &Harness,
    by: &User,
    from: &str,
    role: Role,
) -> Result<Vec<Role>, Status> {
    let request = wire::WithdrawRoleRequest { account_id: from.to_owned(), role: role.into() };
    let answer = harness.staff().withdraw_role(harness.with(&by.token, request)).await;
    answer.map(|answer| answer.into_inner().roles().collect())
}

async fn staff(harness: &Harness, by: &User) -> Result<Vec<String>, Status> {
    let answer = harness.staff().list_staff(harness.with(&by.token, wire::ListStaffRequest::default())).await;
    answer.map(|answer| answer.into_inner().staff.into_iter().map(|member| member.account_id).collect())
}

#[tokio::test]
async fn roles_are_given_and_taken_by_admins_alone_and_written_down() {
    let (harness, admin) = with_admin().await;
    let ada = harness.user("ada").await;
    assert_eq!(staff(&harness, &admin).await.unwrap(), [admin.account_id.as_str()]);
    assert_eq!(refusal(staff(&harness, &ada).await), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));

    for _ in 0..2 {
        assert_eq!(grant(&harness, &admin, &ada.account_id, Role::Support).await.unwrap(), [Role::Support]);
    }
    // Who is signed in stays what they were; the next log-in gets it.
    assert_eq!(refusal(staff(&harness, &ada).await).1, "SCOPE_MISSING");
    let refreshed = harness.refresh(&ada.refresh).await.unwrap();
    assert!(!refreshed.scope.contains("staff"));
    let ada = log_in(&harness, &ada.email).await;
    // Support is staff, and gives nobody roles.
    let refused = (Code::PermissionDenied, "ROLE_MISSING".to_owned());
    assert_eq!(refusal(staff(&harness, &ada).await), refused);
    assert_eq!(refusal(grant(&harness, &ada, &ada.account_id, Role::Admin).await), refused);

    assert_eq!(withdraw(&harness, &admin, &ada.account_id, Role::Support).await.unwrap(), []);
    let written = "SELECT action, detail->>'role' FROM audit_log WHERE action LIKE '%_ROLE' ORDER BY id";
    let expected = [["GRANT_ROLE", "support"], ["WITHDRAW_ROLE", "support"]];
    assert_eq!(harness.rows(written).await.unwrap(), expected, "a repetition is no change");
}

#[tokio::test]
async fn the_staff_is_listed_by_pages_the_oldest_first() {
    let (harness, admin) = with_admin().await;
    let mut expected = vec![admin.account_id.clone()];
    for name in ["ada", "bob"] {
        harness.pass(1);
        let user = harness.user(name).await;
        grant(&harness, &admin, &user.account_id, Role::Support).await.unwrap();
        expected.push(user.account_id);
    }
    let page = async |page_size: i32, page_token: &str| {
        let request = wire::ListStaffRequest { page_size, page_token: page_token.to_owned() };
        let answer = harness.staff().list_staff(harness.with(&admin.token, request)).await;
        answer.map(tonic::Response::into_inner)
    };
    let first = page(2, "").await.unwrap();
    let last = page(2, &first.next_page_token).await.unwrap();
    assert_eq!((first.staff.len(), last.next_page_token.as_str()), (2, ""));
    let found: Vec<String> =
        first.staff.into_iter().chain(last.staff).map(|member| member.account_id).collect();
    assert_eq!(found, expected);
    assert_eq!(fields(page(1_001, "").await), ["page_size"]);
    assert_eq!(fields(page(1, "next").await), ["page_token"]);
}

#[tokio::test]
async fn a_role_that_was_taken_is_worth_nothing_in_any_token_at_once() {
    let (harness, admin) = with_admin().await;
    let ada = harness.user("ada").await;
    grant(&harness, &admin, &ada.account_id, Role::Admin).await.unwrap();
    let ada = log_in(&harness, &ada.email).await;
    assert_eq!(staff(&harness, &ada).await.unwrap().len(), 2);
    withdraw(&harness, &admin, &ada.account_id, Role::Admin).await.unwrap();
    // Told to every service before it was answered.
    let told = "SELECT count(*) FROM event_outbox WHERE topic = 'access.changed' AND sent_at IS NULL";
    assert_eq!(harness.value(told).await, "0");
    let expired = (Code::Unauthenticated, "TOKEN_EXPIRED".to_owned());
    assert_eq!(refusal(staff(&harness, &ada).await), expired);
    assert_eq!(refusal(harness.me(&ada.token).await), expired, "nothing that the token claims counts");
    assert_eq!(refusal(harness.check(&ada.token, None).await), expired);

    // The session goes on without it.
    let refreshed = harness.refresh(&ada.refresh).await.unwrap();
    assert_eq!(refreshed.scope, "pets:read pets:write readings:write feedback:write");
    harness.me(&refreshed.access_token).await.unwrap();
    let ada = User { token: refreshed.access_token, ..ada };
    assert_eq!(refusal(staff(&harness, &ada).await).1, "SCOPE_MISSING");
}

#[tokio::test]
async fn somebody_is_always_left_who_gives_roles() {
    let (harness, admin) = with_admin().await;
    let last = (Code::AlreadyExists, "LAST_ADMIN".to_owned());
    assert_eq!(refusal(withdraw(&harness, &admin, &admin.account_id, Role::Admin).await), last);
    // Of many who take it from each other at once, one is left.
    let mut admins = vec![admin];
    for name in ["ada", "bob", "cyd"] {
        let user = harness.user(name).await;
        grant(&harness, &admins[0], &user.account_id, Role::Admin).await.unwrap();
        admins.push(log_in(&harness, &user.email).await);
    }
    let each = admins.iter().map(|admin| withdraw(&harness, admin, &admin.account_id, Role::Admin));
    let taken = futures::future::join_all(each).await;
    assert_eq!(taken.iter().filter(|answer| answer.is_ok()).count(), 3, "{taken:?}");
    let left = "SELECT count(*) FROM accounts WHERE 'admin' = ANY (roles)";
    assert_eq!(harness.value(left).await, "1");
}

#[tokio::test]
async fn bad_roles_name_their_fields() {
    let (harness, admin) = with_admin().await;
    for (account, role, expected) in [
        ("", Role::Support, vec!["account_id"]),
        ("ada", Role::Unspecified, vec!["account_id", "role"]),
        (admin.account_id.as_str(), Role::Unspecified, vec!["role"]),
    ] {
        assert_eq!(fields(grant(&harness, &admin, account, role).await), expected);
        assert_eq!(fields(withdraw(&harness, &admin, account, role).await), expected);
    }
    let nobody = "01a1fddd-8dc2-7617-a8de-bacd039823d1";
    let not_found = (Code::NotFound, "ACCOUNT_NOT_FOUND".to_owned());
    assert_eq!(refusal(grant(&harness, &admin, nobody, Role::Support).await), not_found);
    assert_eq!(refusal(withdraw(&harness, &admin, nobody, Role::Support).await), not_found);
}
