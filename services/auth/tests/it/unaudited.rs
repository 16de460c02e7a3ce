//! What cannot be audited is not done.

use petty_proto::auth::v1 as wire;

use crate::harness::{Harness, PASSWORD, refusal};

#[tokio::test]
async fn what_cannot_be_audited_is_not_done_and_an_alarm_says_so() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let pet = harness.pet(&ada, "Rex").await;
    harness.pair(&ada, &pet, "collar-1").await;
    let share = wire::CreateShareRequest {
        pet_id: pet.pet_id.clone(),
        email: bob.email.clone(),
        role: wire::pet::Role::Viewer.into(),
        ..Default::default()
    };
    let given =
        harness.pets().create_share(harness.with(&ada.token, share.clone())).await.unwrap().into_inner();
    let integration = harness
        .personal()
        .create_personal_token(harness.with(&ada.token, personal_token(&harness, "clinic")))
        .await
        .unwrap()
        .into_inner()
        .personal_token
        .unwrap();
    let role = harness.database.name.clone() + "_runtime";
    let (revoke, grant) =
        (format!("REVOKE INSERT ON audit_log FROM {role}"), format!("GRANT INSERT ON audit_log TO {role}"));
    // Both ways in which it cannot be written: the entry is refused, or its place in a chain is, at the commit.
    for (breaking, mending) in [
        (revoke.as_str(), grant.as_str()),
        ("ALTER TABLE audit_heads RENAME TO hidden_heads", "ALTER TABLE hidden_heads RENAME TO audit_heads"),
    ] {
        let before = state(&harness).await;
        let alarms = alarms();
        harness.as_owner(breaking).await;
        let (id, token) = (&pet.pet_id, &ada.token);
        let (mut pets, mut accounts, mut tokens) = (harness.pets(), harness.accounts(), harness.tokens());
        let mut personals = harness.personal();
        let sign_up = wire::SignUpRequest {
            email: "carl@example.org".to_owned(),
            password: PASSWORD.to_owned(),
            ..Default::default()
        };
        let log_in = |password: &str| wire::LogInRequest {
            email: ada.email.clone(),
            password: password.to_owned(),
            ..Default::default()
        };
        let create = wire::CreatePetRequest {
            name: "Tom".to_owned(),
            species: wire::pet::Species::Cat.into(),
            ..Default::default()
        };
        let update =
            wire::UpdatePetRequest { pet_id: id.clone(), name: Some("Max".to_owned()), ..Default::default() };
        let pair = wire::PairCollarRequest {
            pet_id: id.clone(),
            collar_id: "collar-2".to_owned(),
            ..Default::default()
        };
        let unpair = wire::UnpairCollarRequest {
            pet_id: id.clone(),
            collar_id: "collar-1".to_owned(),
            ..Default::default()
        };
        let rotate = wire::RotateCollarSecretRequest {
            pet_id: id.clone(),
            collar_id: "collar-1".to_owned(),
            ..Default::default()
        };
        let personal = personal_token(&harness, "another");
        let end_personal = wire::DeletePersonalTokenRequest { token_id: integration.token_id.clone() };
        let close = wire::CloseAccountRequest { password: PASSWORD.to_owned() };
        let again = wire::DeleteShareRequest { pet_id: id.clone(), share_id: given.share_id.clone() };
        let refused = [
            ("SignUp", refusal(accounts.sign_up(harness.anonymous(sign_up)).await)),
            ("LogIn", refusal(tokens.log_in(harness.anonymous(log_in(PASSWORD))).await)),
            ("LogIn refused", refusal(tokens.log_in(harness.anonymous(log_in("wrong, all of it"))).await)),
            ("LogOut", refusal(tokens.log_out(harness.with(&bob.token, wire::LogOutRequest {})).await)),
            ("CloseAccount", refusal(accounts.close_account(harness.with(token, close)).await)),
            (
                "CreatePersonalToken",
                refusal(personals.create_personal_token(harness.with(token, personal)).await),
            ),
            (
                "DeletePersonalToken",
                refusal(personals.delete_personal_token(harness.with(token, end_personal)).await),
            ),
            ("CreatePet", refusal(pets.create_pet(harness.with(token, create)).await)),
            ("UpdatePet", refusal(pets.update_pet(harness.with(token, update)).await)),
            ("PairCollar", refusal(pets.pair_collar(harness.with(token, pair)).await)),
            ("RotateCollarSecret", refusal(pets.rotate_collar_secret(harness.with(token, rotate)).await)),
            ("UnpairCollar", refusal(pets.unpair_collar(harness.with(token, unpair)).await)),
            ("DeleteShare", refusal(pets.delete_share(harness.with(token, again)).await)),
            (
                "DeletePet",
                refusal(
                    pets.delete_pet(harness.with(token, wire::DeletePetRequest { pet_id: id.clone() })).await,
                ),
            ),
        ];
        for (method, (code, _)) in &refused {
            assert_eq!(*code, tonic::Code::Internal, "{method}: {breaking}");
        }
        harness.as_owner(mending).await;
        assert_eq!(state(&harness).await, before, "{breaking}");
        assert!(alarms_since(alarms) >= refused.len() as f64, "{breaking}");
        harness.me(&bob.token).await.unwrap();
    }
    assert_eq!(harness.verdict().await.faults, []);
    // And once it can be written, all goes on.
    harness.user("carl").await;
}

fn personal_token(harness: &Harness, name: &str) -> wire::CreatePersonalTokenRequest {
    let expire_time = harness.clock.now() + jiff::SignedDuration::from_hours(24);
    wire::CreatePersonalTokenRequest {
        name: name.to_owned(),
        scope: "pets:read".to_owned(),
        expire_time: Some(expire_time.into()),
        ..Default::default()
    }
}

/// Everything that changing methods change, and the events that tell.
async fn state(harness: &Harness) -> Vec<String> {
    let mut state = Vec::new();
    for table in [
        "accounts",
        "sessions",
        "refresh_tokens",
        "pets",
        "pairings",
        "shares",
        "personal_tokens",
        "audit_log",
        "audit_links",
    ] {
        state.push(
            harness
                .value(&format!("SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t"))
                .await,
        );
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

fn alarms_since(before: f64) -> f64 {
    alarms() - before
}
