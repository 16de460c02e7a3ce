//! What is personal is on disk only sealed, and opens with the right keys alone.

use std::time::Duration;

use petty_proto::auth::v1 as wire;
use tokio::time::Instant;

use crate::harness::{Harness, PASSWORD, User, boot, refusal};

/// The wrapping key of every harness, and others.
pub(crate) const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const TWO: &str = "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

impl Harness {
    async fn log_in(&self, user: &User) -> Result<wire::TokenResponse, tonic::Status> {
        let request = wire::LogInRequest {
            email: user.email.clone(),
            password: PASSWORD.to_owned(),
            ..Default::default()
        };
        self.tokens().log_in(self.anonymous(request)).await.map(tonic::Response::into_inner)
    }

    async fn named(&self, email: &str, name: &str) -> wire::TokenResponse {
        let request = wire::SignUpRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            name: Some(name.to_owned()),
            time_zone: None,
        };
        self.accounts().sign_up(self.anonymous(request)).await.unwrap().into_inner()
    }

    /// Every table's every row as text, with the table's name.
    async fn everything(&self) -> Vec<(String, String)> {
        let tables = self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").await.unwrap();
        assert!(tables.len() > 10);
        let mut everything = Vec::new();
        for table in tables {
            let whole = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM \"{}\" t", table[0]);
            everything.push((table[0].clone(), self.value(&whole).await));
        }
        everything
    }
}

#[tokio::test]
async fn no_address_name_or_secret_is_on_disk_as_it_is() {
    let harness = Harness::start().await;
    let ada = harness.named("Ada.Lovelace@example.org", "Augusta Ada King").await;
    let bob = harness.user("bob").await;
    let user = User {
        email: "Ada.Lovelace@example.org".to_owned(),
        account_id: ada.account_id,
        token: ada.access_token,
        refresh: ada.refresh_token,
    };
    let pet = harness.pet(&user, "Rex").await;
    let secret = harness.pair(&user, &pet, "collar-1").await.secret;
    let next = harness.refresh(&user.refresh).await.unwrap().refresh_token;
    // With an idempotency key, so that the answer is kept.
    let request = wire::CreateShareRequest {
        pet_id: pet.pet_id.clone(),
        email: bob.email.clone(),
        role: wire::pet::Role::Viewer.into(),
        expire_time: None,
        request_id: "the-key-of-the-share".to_owned(),
    };
    for _ in 0..2 {
        let share = harness.pets().create_share(harness.with(&user.token, request.clone())).await.unwrap();
        assert_eq!(share.into_inner().email, bob.email);
    }
    harness.log_in(&user).await.unwrap();
    let wrong = wire::LogInRequest {
        email: user.email.clone(),
        password: "not the right passphrase".to_owned(),
        ..Default::default()
    };
    harness.tokens().log_in(harness.anonymous(wrong)).await.unwrap_err();

    let hidden = [
        PASSWORD,
        &secret,
        &user.refresh,
        &next,
        &user.token,
        "ada.lovelace",
        "augusta",
        &bob.email,
        "example.org",
        "the-key-of-the-share",
        "not the right passphrase",
    ];
    let everything = harness.everything().await;
    assert!(everything.iter().any(|(table, text)| table == "event_requests" && text.contains("CreateShare")));
    for (table, text) in &everything {
        let text = text.to_lowercase();
        for hidden in hidden.map(str::to_lowercase) {
            let hex: String = hidden.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert!(!text.contains(&hidden) && !text.contains(&hex), "{hidden} in {table}");
        }
    }
    // And yet it is all there for whom it belongs to.
    let me = harness.me(&user.token).await.unwrap();
    assert_eq!((me.email.as_str(), me.name()), ("Ada.Lovelace@example.org", "Augusta Ada King"));
}

#[tokio::test]
async fn an_address_is_taken_whatever_its_case_and_found_by_its_index() {
    let harness = Harness::start().await;
    harness.named("Ada@Example.org", "Ada").await;
    let request = wire::SignUpRequest {
        email: "ada@exAmple.ORG".to_owned(),
        password: PASSWORD.to_owned(),
        ..Default::default()
    };
    let again = harness.accounts().sign_up(harness.anonymous(request)).await;
    assert_eq!(refusal(again).1, "EMAIL_TAKEN");
    let user = User {
        email: "ADA@example.org".to_owned(),
        account_id: String::new(),
        token: String::new(),
        refresh: String::new(),
    };
    harness.log_in(&user).await.unwrap();
    // A replica computes the same index: its secret is kept, and made once.
    harness.replica().await.log_in(&user).await.unwrap();
    assert_eq!(harness.value("SELECT count(*) FROM vault_keys").await, "1");
}

#[tokio::test]
async fn what_is_moved_to_another_account_or_column_does_not_open() {
    let harness = Harness::start().await;
    let (ada, bob) =
        (harness.named("ada@example.org", "Ada").await, harness.named("bob@example.org", "Bob").await);
    let of = |column: &str| {
        format!(
            "UPDATE accounts a SET {column} FROM accounts b WHERE a.account_id = '{}' AND b.account_id = '{}'",
            ada.account_id, bob.account_id
        )
    };
    let before = harness
        .value(&format!("SELECT name_sealed FROM accounts WHERE account_id = '{}'", ada.account_id))
        .await;
    for change in ["name_sealed = b.name_sealed", "name_sealed = a.email_sealed"] {
        harness.rows(&of(change)).await.unwrap();
        assert_eq!(refusal(harness.me(&ada.access_token).await).0, tonic::Code::Internal, "{change}");
    }
    let restore =
        format!("UPDATE accounts SET name_sealed = '{before}' WHERE account_id = '{}'", ada.account_id);
    harness.rows(&restore).await.unwrap();
    harness.me(&ada.access_token).await.unwrap();
    // Nor by another account's key.
    let sql = format!(
        "UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE account_id = '{}') WHERE account_id = '{}'",
        bob.account_id, ada.account_id
    );
    harness.rows(&sql).await.unwrap();
    assert_eq!(refusal(harness.me(&ada.access_token).await).0, tonic::Code::Internal);
}

#[tokio::test]
async fn accounts_of_before_the_vault_are_taken_over_by_two_replicas_at_once() {
    const MANY: usize = 450;
    let harness = Harness::start().await;
    let ada = harness.named("Ada@Example.org", "Augusta Ada King").await;
    let pet_owner = User {
        email: "ada@example.org".to_owned(),
        account_id: ada.account_id.clone(),
        token: ada.access_token.clone(),
        refresh: ada.refresh_token,
    };
    // As the version before wrote it: more than one batch of them.
    let plain = "UPDATE accounts SET email = 'Ada@Example.org', email_key = 'ada@example.org', name = 'Augusta Ada King',
                 email_sealed = NULL, email_index = NULL, name_sealed = NULL; DELETE FROM data_keys;";
    harness.rows(plain).await.unwrap();
    let others = format!(
        "INSERT INTO accounts (account_id, email, email_key, time_zone, password_hash, scope, created_at)
         SELECT gen_random_uuid(), 'u' || n || '@example.org', 'u' || n || '@example.org', 'UTC', '', 'pets:read', now()
         FROM generate_series(1, {MANY}) n"
    );
    harness.rows(&others).await.unwrap();
    // Such rows the version before may still write, and read.
    assert_eq!(harness.value("SELECT count(*) FROM accounts WHERE email_key = 'ada@example.org'").await, "1");

    let (one, two) = tokio::join!(harness.replica(), harness.replica());
    for (column, left) in
        [("email", 0), ("email_key", 0), ("name", 0), ("email_sealed", MANY + 1), ("name_sealed", 1)]
    {
        let sql = format!("SELECT count({column}) FROM accounts");
        assert_eq!(harness.value(&sql).await, left.to_string(), "{column}");
    }
    assert_eq!(harness.value("SELECT count(*) FROM data_keys").await, (MANY + 1).to_string());
    for replica in [&one, &two] {
        replica.log_in(&pet_owner).await.unwrap();
        let me = replica.me(&ada.access_token).await.unwrap();
        assert_eq!((me.email.as_str(), me.name()), ("Ada@Example.org", "Augusta Ada King"));
    }
    for (table, text) in harness.everything().await {
        assert!(!text.to_lowercase().contains("example.org"), "{table}");
    }
}

#[tokio::test]
async fn a_file_of_keys_is_read_again_while_the_service_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    std::fs::write(&path, ONE).unwrap();
    let stack = petty_provision::shared().await.unwrap();
    let settings =
        [("PETTY_KEY_ENCRYPTION_KEY", ""), ("PETTY_KEY_ENCRYPTION_KEY_FILE", path.to_str().unwrap())];
    let harness = Harness::start_with(stack, &settings).await;
    let before = harness.named("before@example.org", "Before").await;
    let first = harness.value("SELECT encode(key_id, 'hex') FROM data_keys").await;

    // As a mounted secret is changed: another file takes the place of the one before.
    let next = directory.path().join("next");
    std::fs::write(&next, format!("{TWO}\n{ONE}\n")).unwrap();
    std::fs::rename(&next, &path).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    for number in 0.. {
        harness.named(&format!("user{number}@example.org"), "After").await;
        if harness.value("SELECT count(DISTINCT key_id) FROM data_keys").await == "2" {
            break;
        }
        assert!(Instant::now() < deadline, "the new key is not used");
    }
    // What the key before wrapped opens as ever.
    harness.me(&before.access_token).await.unwrap();
    let kept =
        format!("SELECT encode(key_id, 'hex') FROM data_keys WHERE account_id = '{}'", before.account_id);
    assert_eq!(harness.value(&kept).await, first);
    // A file that is spoilt changes nothing.
    std::fs::write(&path, "spoilt").unwrap();
    harness.named("spoilt@example.org", "Spoilt").await;
    harness.me(&before.access_token).await.unwrap();
}

#[tokio::test]
async fn the_key_before_still_opens_and_a_ring_without_it_does_not_boot() {
    let harness = Harness::start().await;
    let ada = harness.named("ada@example.org", "Ada").await;
    let ring = harness
        .environment
        .clone()
        .with("PETTY_KEY_ENCRYPTION_KEY", TWO)
        .with("PETTY_KEY_ENCRYPTION_KEY_PREVIOUS", ONE);
    let (channel, shutdown) = boot(&ring, &harness.clock).await.unwrap();
    let mut accounts = wire::account_service_client::AccountServiceClient::new(channel);
    let me = accounts.get_me(harness.with(&ada.access_token, wire::GetMeRequest {})).await.unwrap();
    assert_eq!(me.into_inner().email, "ada@example.org");
    shutdown.cancel();
    let without = harness.environment.clone().with("PETTY_KEY_ENCRYPTION_KEY", TWO);
    let refused = boot(&without, &harness.clock).await.unwrap_err();
    assert!(format!("{refused:#}").contains("PETTY_KEY_ENCRYPTION_KEY"), "{refused:#}");
}

/// A staff account's token.
pub(crate) async fn admin(harness: &Harness) -> String {
    let user = harness.user("operator").await;
    let promote = format!("UPDATE accounts SET roles = '{{admin}}' WHERE account_id = '{}'", user.account_id);
    harness.rows(&promote).await.unwrap();
    harness.log_in(&user).await.unwrap().access_token
}

async fn reencrypt(harness: &Harness, token: &str, batch_size: i32) -> wire::ReencryptDataResponse {
    let mut request = harness.by("operator", wire::ReencryptDataRequest { batch_size });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    harness.operations().reencrypt_data(request).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_wrapping_key_is_rolled_while_people_log_in() {
    const MANY: usize = 300;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    std::fs::write(&path, ONE).unwrap();
    let stack = petty_provision::shared().await.unwrap();
    let settings =
        [("PETTY_KEY_ENCRYPTION_KEY", ""), ("PETTY_KEY_ENCRYPTION_KEY_FILE", path.to_str().unwrap())];
    let harness = Harness::start_with(stack, &settings).await;
    let users = [harness.user("ada").await, harness.user("bob").await, harness.user("carl").await];
    let token = admin(&harness).await;
    let others = format!(
        "INSERT INTO accounts (account_id, email, email_key, time_zone, password_hash, scope, created_at)
         SELECT gen_random_uuid(), 'u' || n || '@example.org', 'u' || n || '@example.org', 'UTC', '', 'pets:read', now()
         FROM generate_series(1, {MANY}) n"
    );
    harness.rows(&others).await.unwrap();
    let replica = harness.replica().await;
    assert_eq!(reencrypt(&harness, &token, 0).await.remaining, 0, "there is nothing to do yet");

    let first = reencrypt(&harness, &token, 0).await.key_id;
    std::fs::write(&path, format!("{TWO}\n{ONE}\n")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    // A step of few keys at a time; the first ones still see the key before, until the file is read again.
    let done = &std::sync::atomic::AtomicBool::new(false);
    let rolling = async {
        let mut steps = 0;
        loop {
            let step = reencrypt(&harness, &token, 20).await;
            steps += i32::from(step.rewrapped > 0);
            if step.key_id != first && step.remaining == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "{step:?}");
        }
        done.store(true, std::sync::atomic::Ordering::Release);
        steps
    };
    let logging_in = users.iter().zip([&harness, &replica, &harness]).map(|(user, at)| async move {
        let mut times = 0;
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            let signed_in = at.log_in(user).await.unwrap();
            let refreshed = at.refresh(&signed_in.refresh_token).await.unwrap();
            assert_eq!(at.me(&refreshed.access_token).await.unwrap().email, user.email);
            times += 1;
        }
        times
    });
    let (steps, times): (i32, Vec<i32>) = tokio::join!(rolling, futures::future::join_all(logging_in));
    assert!(steps >= 15, "{steps}");
    assert!(times.iter().all(|times| *times > 0), "{times:?}");
    for table in ["data_keys", "vault_keys"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE encode(key_id, 'hex') = '{first}'");
        assert_eq!(harness.value(&sql).await, "0", "{table}");
    }
    let audited = "SELECT count(*) FROM audit_log WHERE action = 'REENCRYPT_DATA'";
    assert_eq!(harness.value(audited).await, steps.to_string());

    // The key before may go; it opens nothing any more, and nothing misses it.
    let alone = harness.environment.clone().with("PETTY_KEY_ENCRYPTION_KEY_FILE", "");
    let (channel, shutdown) =
        boot(&alone.clone().with("PETTY_KEY_ENCRYPTION_KEY", TWO), &harness.clock).await.unwrap();
    let mut tokens = petty_proto::auth::v1::token_service_client::TokenServiceClient::new(channel.clone());
    let mut accounts = petty_proto::auth::v1::account_service_client::AccountServiceClient::new(channel);
    for user in &users {
        let request = wire::LogInRequest {
            email: user.email.clone(),
            password: PASSWORD.to_owned(),
            ..Default::default()
        };
        let signed_in = tokens.log_in(harness.anonymous(request)).await.unwrap().into_inner();
        let me = accounts.get_me(harness.with(&signed_in.access_token, wire::GetMeRequest {})).await.unwrap();
        assert_eq!(me.into_inner().email, user.email);
    }
    shutdown.cancel();
    boot(&alone.with("PETTY_KEY_ENCRYPTION_KEY", ONE), &harness.clock).await.unwrap_err();
}
