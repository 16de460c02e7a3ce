//! What cannot be audited is not done: every method that changes something, by the descriptors' own list.

use std::collections::BTreeSet;

use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::staff_member::Role;
use petty_proto::policy::{self, Repeat};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};

use crate::harness::{Harness, PASSWORD, User};
use crate::keys::kid;
use crate::mailbox::{Mailbox, all_sent, token};
use crate::second_factor::{code, confirm, enrol, wrong};
use crate::staff;
use crate::vault::{ONE, TWO};

/// Methods that write nothing down, for they give nobody anything that an entry does not stand for already.
const UNAUDITED: [(&str, &str); 3] = [
    ("IssueStreamTicket", "what the caller's own session may, for half a minute"),
    ("RedeemStreamTicket", "the same session again"),
    ("ExchangePersonalToken", "what the token's creation is the entry of"),
];

/// Somebody for each of the ways to be, and what they have.
struct Scene {
    harness: Harness,
    mailbox: Mailbox,
    admin: User,
    /// Has a pet with a collar and a share, a second session and an integration.
    ada: User,
    bob: User,
    /// Was asked for the code of an authenticator, and has not said it.
    eve: (User, [u8; 20]),
    /// Has a second factor.
    dan: (User, [u8; 20]),
    pet: wire::Pet,
    secret: String,
    share: wire::Share,
    link: String,
    used: String,
    other_session: String,
    integration: String,
    verification: String,
    reset: String,
}

impl Scene {
    async fn set() -> Self {
        let mailbox = Mailbox::new();
        let stack = petty_provision::shared().await.unwrap();
        let path = mailbox.path();
        let more = [
            ("PETTY_BOOTSTRAP_EMAIL", staff::ADMIN),
            ("PETTY_BOOTSTRAP_PASSWORD", PASSWORD),
            ("PETTY_MAIL_DIR", path.as_str()),
            ("PETTY_PUBLIC_URL", "https://petty.example/"),
        ];
        let harness = Harness::start_with(stack, &more).await;
        let admin = staff::log_in(&harness, staff::ADMIN).await;
        let ada = harness.user("ada").await;
        let verification = token(&mailbox.newest(1).await);
        let (bob, eve, dan) =
            (harness.user("bob").await, harness.user("eve").await, harness.user("dan").await);
        staff::grant(&harness, &admin, &bob.account_id, Role::Support).await.unwrap();
        let eve_secret = enrol(&harness, &eve).await;
        let dan_secret = enrol(&harness, &dan).await;
        confirm(&harness, &dan, &code(&dan_secret, &harness, 0)).await.unwrap();
        all_sent(&harness).await;
        let mails = mailbox.count();
        let ask = wire::RequestResetRequest { email: bob.email.clone() };
        harness.credentials().request_reset(harness.anonymous(ask)).await.unwrap();
        let reset = token(&mailbox.newest(mails + 1).await);
        let pet = harness.pet(&ada, "Rex").await;
        let secret = harness.pair(&ada, &pet, "collar-1").await.secret;
        let share = share_with(&pet, &bob.email);
        let share = harness.pets().create_share(harness.with(&ada.token, share)).await.unwrap().into_inner();
        let link = harness.pets().create_share_link(harness.with(&ada.token, link_to(&pet))).await;
        let link = link.unwrap().into_inner().token;
        // A refresh token whose successor was used, too: whoever shows it has it from somebody else.
        let next = harness.refresh(&dan.refresh).await.unwrap();
        harness.refresh(&next.refresh_token).await.unwrap();
        let other = staff::log_in(&harness, &ada.email).await;
        let sessions = harness.list(&ada.token).await;
        let other_session = sessions.into_iter().find(|session| !session.current).unwrap().session_id;
        drop(other);
        let created = personal_token(&harness, "clinic");
        let created = harness.personal().create_personal_token(harness.with(&ada.token, created)).await;
        let integration = created.unwrap().into_inner().personal_token.unwrap().token_id;
        all_sent(&harness).await;
        let used = dan.refresh.clone();
        Self {
            harness,
            mailbox,
            admin,
            ada,
            bob,
            eve: (eve, eve_secret),
            dan: (dan, dan_secret),
            pet,
            secret,
            share,
            link,
            used,
            other_session,
            integration,
            verification,
            reset,
        }
    }

    /// Tries every method that changes something; how each ended.
    async fn try_all(&self) -> Vec<(&'static str, Code)> {
        let mut tried = self.try_accounts().await;
        tried.extend(self.try_pets().await);
        tried.extend(self.try_staff().await);
        tried
    }

    async fn try_accounts(&self) -> Vec<(&'static str, Code)> {
        let Self { harness, ada, bob, eve: (eve, eve_secret), dan: (dan, dan_secret), .. } = self;
        let anybody = None;
        let password = PASSWORD.to_owned();
        let log_in = |email: &str, password: &str| wire::LogInRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            ..Default::default()
        };
        let sign_up = wire::SignUpRequest {
            email: "carl@example.org".to_owned(),
            password: password.clone(),
            ..Default::default()
        };
        let otp = |secret: &[u8; 20], steps| code(secret, harness, steps);
        vec![
            self.ask("SignUp", anybody, sign_up).await,
            self.ask("LogIn", anybody, log_in(&ada.email, PASSWORD)).await,
            self.ask("LogIn", anybody, log_in(&ada.email, "wrong, all of it")).await,
            self.ask("LogIn", anybody, log_in("nobody@example.org", "wrong, all of it")).await,
            self.ask("LogIn", anybody, log_in(&dan.email, PASSWORD)).await,
            self.ask("Refresh", anybody, wire::RefreshRequest { refresh_token: self.used.clone() }).await,
            self.ask("LogOut", Some(bob), wire::LogOutRequest {}).await,
            self.ask(
                "RevokeToken",
                anybody,
                wire::RevokeTokenRequest { token: bob.refresh.clone(), token_type_hint: None },
            )
            .await,
            self.ask(
                "UpdateMe",
                Some(ada),
                wire::UpdateMeRequest { name: Some("Ada".to_owned()), ..Default::default() },
            )
            .await,
            self.ask("CloseAccount", Some(ada), wire::CloseAccountRequest { password: password.clone() })
                .await,
            self.ask(
                "VerifyEmail",
                anybody,
                wire::VerifyEmailRequest { token: self.verification.clone(), password: password.clone() },
            )
            .await,
            self.ask(
                "ResendVerification",
                anybody,
                wire::ResendVerificationRequest { email: ada.email.clone() },
            )
            .await,
            self.ask("RequestReset", anybody, wire::RequestResetRequest { email: ada.email.clone() }).await,
            self.ask(
                "ConfirmReset",
                anybody,
                wire::ConfirmResetRequest {
                    token: self.reset.clone(),
                    password: "quite another long passphrase".to_owned(),
                },
            )
            .await,
            self.ask(
                "ChangePassword",
                Some(ada),
                wire::ChangePasswordRequest {
                    current_password: password.clone(),
                    new_password: "quite another long passphrase".to_owned(),
                },
            )
            .await,
            self.ask(
                "ChangeEmail",
                Some(ada),
                wire::ChangeEmailRequest {
                    email: "ada@elsewhere.example".to_owned(),
                    current_password: password.clone(),
                },
            )
            .await,
            self.ask(
                "EnrolSecondFactor",
                Some(ada),
                wire::EnrolSecondFactorRequest { password: password.clone() },
            )
            .await,
            self.ask(
                "ConfirmSecondFactor",
                Some(eve),
                wire::ConfirmSecondFactorRequest { otp: otp(eve_secret, 0) },
            )
            .await,
            self.ask(
                "ConfirmSecondFactor",
                Some(eve),
                wire::ConfirmSecondFactorRequest { otp: wrong(eve_secret, harness) },
            )
            .await,
            self.ask(
                "RenewRecoveryCodes",
                Some(dan),
                wire::RenewRecoveryCodesRequest { password: password.clone(), otp: otp(dan_secret, 0) },
            )
            .await,
            self.ask(
                "RemoveSecondFactor",
                Some(dan),
                wire::RemoveSecondFactorRequest { password: password.clone(), otp: otp(dan_secret, 1) },
            )
            .await,
            self.ask(
                "EndSession",
                Some(ada),
                wire::EndSessionRequest { session_id: self.other_session.clone() },
            )
            .await,
            self.ask("EndOtherSessions", Some(ada), wire::EndOtherSessionsRequest {}).await,
            self.ask("CreatePersonalToken", Some(ada), personal_token(harness, "another")).await,
            self.ask(
                "DeletePersonalToken",
                Some(ada),
                wire::DeletePersonalTokenRequest { token_id: self.integration.clone() },
            )
            .await,
        ]
    }

    async fn try_pets(&self) -> Vec<(&'static str, Code)> {
        let Self { ada, bob, pet, .. } = self;
        let (pet_id, owner) = (pet.pet_id.clone(), Some(ada));
        let collar_id = "collar-1".to_owned();
        let create = wire::CreatePetRequest {
            name: "Tom".to_owned(),
            species: wire::pet::Species::Cat.into(),
            ..Default::default()
        };
        let pair = wire::PairCollarRequest {
            pet_id: pet_id.clone(),
            collar_id: "collar-2".to_owned(),
            ..Default::default()
        };
        vec![
            self.ask("CreatePet", owner, create).await,
            self.ask(
                "UpdatePet",
                owner,
                wire::UpdatePetRequest {
                    pet_id: pet_id.clone(),
                    name: Some("Max".to_owned()),
                    ..Default::default()
                },
            )
            .await,
            self.ask("PairCollar", owner, pair).await,
            self.ask(
                "RotateCollarSecret",
                owner,
                wire::RotateCollarSecretRequest {
                    pet_id: pet_id.clone(),
                    collar_id: collar_id.clone(),
                    ..Default::default()
                },
            )
            .await,
            self.ask(
                "UnpairCollar",
                owner,
                wire::UnpairCollarRequest {
                    pet_id: pet_id.clone(),
                    collar_id: collar_id.clone(),
                    ..Default::default()
                },
            )
            .await,
            self.ask(
                "IssueCollarToken",
                None,
                wire::IssueCollarTokenRequest { collar_id: collar_id.clone(), secret: self.secret.clone() },
            )
            .await,
            self.ask(
                "IssueCollarToken",
                None,
                wire::IssueCollarTokenRequest { collar_id, secret: "wrong".to_owned() },
            )
            .await,
            self.ask("CreateShare", owner, share_with(pet, "carl@example.org")).await,
            self.ask("CreateShareLink", owner, link_to(pet)).await,
            self.ask("AcceptShare", Some(bob), wire::AcceptShareRequest { token: self.link.clone() }).await,
            self.ask(
                "DeleteShare",
                owner,
                wire::DeleteShareRequest { pet_id: pet_id.clone(), share_id: self.share.share_id.clone() },
            )
            .await,
            self.ask("DeletePet", owner, wire::DeletePetRequest { pet_id }).await,
        ]
    }

    async fn try_staff(&self) -> Vec<(&'static str, Code)> {
        let (admin, account_id) = (Some(&self.admin), self.bob.account_id.clone());
        vec![
            self.ask(
                "GrantRole",
                admin,
                wire::GrantRoleRequest { account_id: account_id.clone(), role: Role::Admin.into() },
            )
            .await,
            self.ask(
                "WithdrawRole",
                admin,
                wire::WithdrawRoleRequest { account_id, role: Role::Support.into() },
            )
            .await,
            self.ask(
                "RotateSigningKeys",
                admin,
                wire::RotateSigningKeysRequest { kid: kid(&self.admin.token), compromised: false },
            )
            .await,
            self.ask("ReencryptData", admin, wire::ReencryptDataRequest { batch_size: 0 }).await,
        ]
    }

    /// Calls a method, by its name alone.
    async fn ask<M>(&self, method: &'static str, who: Option<&User>, message: M) -> (&'static str, Code)
    where
        M: prost::Message + Default + 'static,
    {
        let policy = methods().find(|policy| policy.method == method).unwrap();
        let operator = policy.services == ["operator"];
        let mut request: Request<M> = self.harness.by(if operator { "operator" } else { "gateway" }, message);
        if let Some(User { token, .. }) = who {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let mut client = tonic::client::Grpc::new(self.harness.channel());
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<M, ()>::default();
        let answered = client.unary(request, PathAndQuery::from_static(policy.path), codec).await;
        (method, answered.map_or_else(|status| status.code(), |_| Code::Ok))
    }
}

fn methods() -> impl Iterator<Item = &'static policy::MethodPolicy> {
    policy::METHODS.iter().copied().filter(|policy| policy.service.starts_with("petty.auth."))
}

fn share_with(pet: &wire::Pet, email: &str) -> wire::CreateShareRequest {
    wire::CreateShareRequest {
        pet_id: pet.pet_id.clone(),
        email: email.to_owned(),
        role: wire::pet::Role::Viewer.into(),
        ..Default::default()
    }
}

fn personal_token(harness: &Harness, name: &str) -> wire::CreatePersonalTokenRequest {
    let expire_time = harness.clock.now() + jiff::SignedDuration::from_hours(24);
    wire::CreatePersonalTokenRequest {
        name: name.to_owned(),
        scope: "pets:read".to_owned(),
        expire_time: Some(expire_time.into()),
        password: PASSWORD.to_owned(),
        ..Default::default()
    }
}

fn link_to(pet: &wire::Pet) -> wire::CreateShareLinkRequest {
    wire::CreateShareLinkRequest {
        pet_id: pet.pet_id.clone(),
        role: wire::pet::Role::Viewer.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn what_cannot_be_audited_is_not_done_and_an_alarm_says_so() {
    let mut scene = Scene::set().await;
    // Under another wrapping key, so that there is something to wrap anew.
    let environment = scene
        .harness
        .environment
        .clone()
        .with("PETTY_KEY_ENCRYPTION_KEY", TWO)
        .with("PETTY_KEY_ENCRYPTION_KEY_PREVIOUS", ONE);
    scene.harness = scene.harness.set_up_as(environment).await;
    let harness = &scene.harness;
    let role = harness.database.name.clone() + "_runtime";
    let (revoke, grant) =
        (format!("REVOKE INSERT ON audit_log FROM {role}"), format!("GRANT INSERT ON audit_log TO {role}"));
    // Both ways in which it cannot be written: the entry is refused, or its place in a chain is, at the commit.
    for (breaking, mending) in [
        (revoke.as_str(), grant.as_str()),
        ("ALTER TABLE audit_heads RENAME TO hidden_heads", "ALTER TABLE hidden_heads RENAME TO audit_heads"),
    ] {
        // New codes, and no waiting for what was tried before.
        harness.pass(90);
        harness.as_owner("TRUNCATE throttles").await;
        let (before, alarms, mails) = (state(harness).await, alarms(), scene.mailbox.count());
        harness.as_owner(breaking).await;
        let tried = scene.try_all().await;
        harness.as_owner(mending).await;
        for (method, code) in &tried {
            assert_eq!(*code, Code::Internal, "{method}: {breaking}");
        }
        let changing = methods().filter(|policy| policy.repeat != Repeat::ReadOnly);
        let expected: BTreeSet<_> = changing.map(|policy| policy.method).collect();
        let unaudited = UNAUDITED.map(|(method, _)| method);
        let found: BTreeSet<_> = tried.iter().map(|(method, _)| *method).chain(unaudited).collect();
        assert_eq!(found, expected, "each method that changes something is tried here");
        for (was, is) in before.iter().zip(state(harness).await) {
            assert_eq!(*was, is, "{breaking}");
        }
        assert_eq!(scene.mailbox.count(), mails, "{breaking}");
        assert!(self::alarms() - alarms >= tried.len() as f64, "{breaking}");
        harness.me(&scene.bob.token).await.unwrap();
    }
    assert_eq!(harness.verdict().await.faults, []);
    // And once it can be written, all goes on.
    harness.pass(90);
    harness.as_owner("TRUNCATE throttles").await;
    let ended = [scene.try_staff().await, scene.try_pets().await].concat();
    for (method, code) in ended {
        let expected = if method == "IssueCollarToken" { Code::Unauthenticated } else { Code::Ok };
        assert_eq!(code, expected, "{method}");
    }
}

/// All that there is of auth's, but for what counts attempts: those were made.
async fn state(harness: &Harness) -> Vec<String> {
    let tables = "SELECT table_name FROM information_schema.tables
                  WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
                    AND table_name NOT LIKE 'event_relay%' AND table_name NOT LIKE 'event_outbox%'
                    AND table_name NOT LIKE 'event_consumer%'
                    AND table_name NOT IN ('throttles') ORDER BY 1";
    let mut state = Vec::new();
    for row in harness.rows(tables).await.unwrap() {
        let table = &row[0];
        let columns = match table.as_str() {
            // A code that was shown is used up, whatever came of it; and what is sealed is forgotten with its grace.
            "second_factors" => "(t.account_id, t.confirmed_at)",
            "refresh_tokens" => "(t.token_hash, t.session_id, t.used_at)",
            _ => "t",
        };
        let sql =
            format!("SELECT md5(string_agg({columns}::text, '|' ORDER BY {columns}::text)) FROM {table} t");
        state.push(format!("{table} {}", harness.value(&sql).await));
    }
    state.push(harness.value("SELECT count(*) FROM event_outbox").await);
    state
}

/// The process' alarms, of all tests in it.
fn alarms() -> f64 {
    let text = petty_chassis::telemetry::prometheus_text();
    let line = text.lines().find(|line| line.starts_with("petty_auth_audit_failures_total"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}
